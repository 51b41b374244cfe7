/* Raw estimates in ascending order and the bias at each of them. */
#ifndef FORMAT_SKETCH_HLL_BIAS_H
#define FORMAT_SKETCH_HLL_BIAS_H

enum { HLL_BIAS_POINTS = 201 };

extern const double hll_raw_estimates[HLL_BIAS_POINTS], hll_biases[HLL_BIAS_POINTS];

#endif
