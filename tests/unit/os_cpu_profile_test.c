/* Tests of CPU profiles and of names by address: the timer counts CPU time, so what is seen does not depend on how busy the machine is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "os/cpu_profile.h"
#include "os/symbols.h"
#include "os/thread.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { STACKS_ARE_WHOLE = 0 }; /* signals come when the sanitizer lets them */
#else
enum { STACKS_ARE_WHOLE = 1 };
#endif

static _Thread_local volatile uint64_t sink;

__attribute__((noinline)) static void burn_here(int64_t ms)
{
    int64_t end_ns = clock_thread_cpu_ns() + ms * 1000000;
    while (clock_thread_cpu_ns() < end_ns)
        for (int i = 0; i < 100000; i++)
            sink = sink * 31 + (uint64_t)i;
}

static void *burner(void *arg)
{
    (void)arg;
    burn_here(300);
    return NULL;
}

static void takes_samples(void **state)
{
    (void)state;
    struct error err;
    struct sampled_stacks p;
    struct symbols *symbols;
    pthread_t threads[2];
    assert_int_equal(symbols_load(&symbols, &err), ST_OK);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(cpu_profile_start(1000, &err), ST_OK);
        assert_int_equal(cpu_profile_start(99, &err), ST_RATE_LIMITED);
        for (int i = 0; i < 2; i++)
            assert_int_equal(thread_start(&threads[i], "burner", burner, NULL, &err), ST_OK);
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(cpu_profile_stop(&p, &err), ST_OK);
        uint64_t total = 0, burning = 0;
        for (size_t i = 0; i < p.n; i++) {
            const struct sampled_stack *s = &p.list[i];
            assert_true(s->n_frames > 0 && s->n_frames <= CPU_PROFILE_FRAMES_MAX && s->weight > 0);
            total += s->weight;
            bool found = false;
            for (uint32_t k = 0; k < s->n_frames && !found; k++) {
                char name[100];
                symbols_name(symbols, s->frames[k] - (k > 0), name, sizeof(name));
                found = strcmp(name, "burn_here") == 0;
            }
            burning += found && strcmp(s->thread, "burner") == 0 ? s->weight : 0;
        }
        assert_true(total > 20); /* 600 ms of CPU time; a slow tick of the kernel takes fewer than were asked for */
        if (STACKS_ARE_WHOLE)
            assert_true(burning * 2 > total);
        assert_int_equal(p.dropped, 0);
        sampled_stacks_release(&p);
    }
    symbols_free(symbols);
    burn_here(20); /* the timer is off */
}

static void names_functions(void **state)
{
    (void)state;
    struct error err;
    struct symbols *symbols;
    char name[60], small[5];
    assert_int_equal(symbols_load(&symbols, &err), ST_OK);
    symbols_name(symbols, (uintptr_t)burn_here + 1, name, sizeof(name));
    assert_string_equal(name, "burn_here");
    symbols_name(symbols, (uintptr_t)burn_here, small, sizeof(small));
    assert_string_equal(small, "burn");
    symbols_name(symbols, 1, name, sizeof(name));
    assert_string_equal(name, "0x1");
    symbols_name(symbols, UINTPTR_MAX, name, sizeof(name));
    assert_true(strlen(name) > 0);
    symbols_free(symbols);
    symbols_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(takes_samples), cmocka_unit_test(names_functions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
