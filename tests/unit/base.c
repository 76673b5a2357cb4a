/* Unit tests of runtime/base: error texts, settings, lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/list.h"
#include "base/vars.h"

static void codes_have_names_and_texts(void **state)
{
    (void) state;
    assert_string_equal(ame_errname(AME_OK), "AME_OK");
    assert_string_equal(ame_errname(AME_E_RANK), "AME_E_RANK");
    assert_string_equal(ame_strerror(AME_E_RANK), "no such rank in the communicator");
#define DIFFERENT(name, value, text)                                                                                   \
    assert_true((value) < 0);                                                                                          \
    assert_string_equal(ame_errname(name), #name);                                                                     \
    assert_string_equal(ame_strerror(name), text);
    AME_ERROR_LIST(DIFFERENT)
    assert_non_null(ame_strerror(-12345));
    assert_non_null(ame_errname(77));
}

static void failures_keep_their_text(void **state)
{
    char longest[3 * AME__ERROR_TEXT_MAX];
    (void) state;
    assert_int_equal(ame__fail(AME_E_ARG, "argument '%s' is %d", "root", 7), AME_E_ARG);
    assert_string_equal(ame_last_error(), "argument 'root' is 7");
    assert_int_equal(ame__error_prefix(AME_E_ARG, "ame_%s", "bcast"), AME_E_ARG);
    assert_string_equal(ame_last_error(), "ame_bcast: argument 'root' is 7");
    assert_int_equal(ame__fail_errno(EPIPE, "write to %d", 5), AME_E_SYSTEM);
    assert_string_equal(ame_last_error(), "write to 5: EPIPE: Broken pipe");
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    ame__fail(AME_E_ARG, "%s", longest);
    assert_int_equal(strlen(ame_last_error()), AME__ERROR_TEXT_MAX - 1);
    ame__error_prefix(AME_E_ARG, "%s", longest);
    assert_true(strlen(ame_last_error()) < AME__ERROR_TEXT_MAX);
}

static void numbers_are_checked(void **state)
{
    static const char *const bad[] = {"x", "12x", "-5", "nan", "1e99", " ", "0x10 ", "3 s"};
    double number = 42;
    (void) state;
    unsetenv("AME_CONNECT_TIMEOUT");
    assert_int_equal(ame__var_number(AME__VAR_CONNECT_TIMEOUT, &number), AME_OK);
    assert_true(number == 60);
    assert_false(ame__var_is_set(AME__VAR_CONNECT_TIMEOUT));
    setenv("AME_CONNECT_TIMEOUT", "0.5", 1);
    assert_int_equal(ame__var_number(AME__VAR_CONNECT_TIMEOUT, &number), AME_OK);
    assert_true(number == 0.5);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("AME_CONNECT_TIMEOUT", bad[i], 1);
        number = 42;
        assert_int_equal(ame__var_number(AME__VAR_CONNECT_TIMEOUT, &number), AME_E_CONFIG);
        assert_true(number == 42);
        assert_non_null(strstr(ame_last_error(), "AME_CONNECT_TIMEOUT"));
        assert_non_null(strstr(ame_last_error(), bad[i]));
    }
    unsetenv("AME_CONNECT_TIMEOUT");
}

static void sizes_have_units(void **state)
{
    static const struct {
        const char *text;
        size_t bytes;
    } good[] = {{"0", 0}, {"4096", 4096}, {"64k", 65536}, {"64K", 65536}, {"1M", 1 << 20}, {"0.5M", 1 << 19}};
    static const char *const bad[] = {"2M", "1q", "k", "64kB", "-1k"};
    size_t bytes;
    (void) state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        setenv("AME_EAGER_LIMIT", good[i].text, 1);
        assert_int_equal(ame__var_bytes(AME__VAR_EAGER_LIMIT, &bytes), AME_OK);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("AME_EAGER_LIMIT", bad[i], 1);
        assert_int_equal(ame__var_bytes(AME__VAR_EAGER_LIMIT, &bytes), AME_E_CONFIG);
    }
    unsetenv("AME_EAGER_LIMIT");
}

static void every_default_is_valid(void **state)
{
    (void) state;
    for (int var = 0; var < AME__VAR_COUNT; var++) {
        const struct ame__var_info *info = &ame__var_table[var];
        double number;
        bool flag;
        if (info->group != AME__VAR_BY_USER) continue;
        unsetenv(info->name);
        assert_non_null(ame__var_text(var));
        if (info->kind == AME__VAR_FLAG)
            assert_int_equal(ame__var_flag(var, &flag), AME_OK);
        else if (info->kind != AME__VAR_TEXT)
            assert_int_equal(ame__var_number(var, &number), AME_OK);
    }
}

static void flags_are_0_or_1(void **state)
{
    static const char *const bad[] = {"yes", "2", "01", "true"};
    bool flag;
    (void) state;
    setenv("AME_DIRECT", "0", 1);
    assert_int_equal(ame__var_flag(AME__VAR_DIRECT, &flag), AME_OK);
    assert_false(flag);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("AME_DIRECT", bad[i], 1);
        assert_int_equal(ame__var_flag(AME__VAR_DIRECT, &flag), AME_E_CONFIG);
    }
    unsetenv("AME_DIRECT");
}

static void remember_name(const char *name, const char *nearest, void *arg)
{
    const char **found = arg;
    if (!strcmp(name, "AME_SPINUS")) found[0] = nearest;
    if (!strcmp(name, "AME_COMPLETELY_DIFFERENT")) found[1] = "called";
    if (!strcmp(name, "AME_SPIN_US")) found[2] = "known";
}

static void misspelt_names_are_told(void **state)
{
    const char *found[3] = {NULL, NULL, NULL};
    (void) state;
    setenv("AME_SPINUS", "1", 1);
    setenv("AME_COMPLETELY_DIFFERENT", "1", 1);
    setenv("AME_SPIN_US", "1", 1);
    ame__vars_check_names(remember_name, found);
    assert_string_equal(found[0], "AME_SPIN_US");
    assert_string_equal(found[1], "called");
    assert_null(found[2]);
    unsetenv("AME_SPINUS");
    unsetenv("AME_COMPLETELY_DIFFERENT");
    unsetenv("AME_SPIN_US");
}

static void distances(void **state)
{
    (void) state;
    assert_int_equal(ame__edit_distance("", ""), 0);
    assert_int_equal(ame__edit_distance("abc", "ABC"), 0);
    assert_int_equal(ame__edit_distance("timout", "timeout"), 1);
    assert_int_equal(ame__edit_distance("kitten", "sitting"), 3);
    assert_int_equal(ame__edit_distance("", "four"), 4);
}

struct item {
    int value;
    struct ame__list link;
};

static void lists_keep_order(void **state)
{
    struct ame__list head;
    struct item items[4];
    int sum = 0, last = -1;
    (void) state;
    ame__list_init(&head);
    assert_true(ame__list_empty(&head));
    assert_null(ame__list_take(&head));
    for (int i = 0; i < 4; i++) {
        items[i].value = i;
        ame__list_append(&head, &items[i].link);
    }
    ame__list_remove(&items[2].link);
    ame__list_remove(&items[2].link); /* not in a list: nothing happens */
    ame__list_for_each(node, &head)
    {
        struct item *item = ame__container_of(node, struct item, link);
        assert_true(item->value > last);
        last = item->value;
        sum += item->value;
        ame__list_remove(node); /* allowed while walking */
    }
    assert_int_equal(sum, 4);
    assert_true(ame__list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(codes_have_names_and_texts),
                                       cmocka_unit_test(failures_keep_their_text),
                                       cmocka_unit_test(numbers_are_checked),
                                       cmocka_unit_test(sizes_have_units),
                                       cmocka_unit_test(every_default_is_valid),
                                       cmocka_unit_test(flags_are_0_or_1),
                                       cmocka_unit_test(misspelt_names_are_told),
                                       cmocka_unit_test(distances),
                                       cmocka_unit_test(lists_keep_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
