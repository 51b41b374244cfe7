/* See base/version.h, which regionctl shares. */
#ifndef MAIN_VERSION_H
#define MAIN_VERSION_H

#include "base/version.h"

#endif
