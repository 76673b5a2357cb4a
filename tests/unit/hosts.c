/* Unit tests of the launcher's parts without I/O: lists of hosts, places of ranks, and what a host is told to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hosts.h"
#include "proto.h"
#include "work.h"

/* "name:slots name:slots" */
static const char *text_of(const struct ame__hosts *hosts)
{
    static char text[4096];
    size_t used = 0;
    *text = '\0';
    for (size_t i = 0; i < hosts->count && used < sizeof text; i++)
        used += (size_t) snprintf(text + used, sizeof text - used, "%s%s%s%s:%d", i ? " " : "",
                                  hosts->items[i].user ? hosts->items[i].user : "", hosts->items[i].user ? "@" : "",
                                  hosts->items[i].name, hosts->items[i].slots);
    return text;
}

static void lists(void **state)
{
    static const char *const good[][2] = {{"a", "a:1"},
                                          {"a:2,b:4", "a:2 b:4"},
                                          {" a, b ,,c ", "a:1 b:1 c:1"},
                                          {"a,b,a:3", "a:4 b:1"},
                                          {"u@a:2,a", "u@a:2 a:1"},
                                          {"fe80::1,[fe80::2]:3", "fe80::1:1 fe80::2:3"},
                                          {"10.0.0.1:2", "10.0.0.1:2"}};
    static const char *const bad[] = {"",    ",",  "a:", "a:0",  "a:x",           "-x", "a;b",
                                      "a$b", "u@", "@a", "-u@a", "a:99999999999", "[a"};
    (void) state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct ame__hosts hosts = {0};
        assert_int_equal(ame__hosts_add_list(&hosts, good[i][0]), 0);
        assert_string_equal(text_of(&hosts), good[i][1]);
        ame__hosts_finish(&hosts);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ame__hosts hosts = {0};
        if (ame__hosts_add_list(&hosts, bad[i]) == 0) fail_msg("'%s' was accepted", bad[i]);
        ame__hosts_finish(&hosts);
    }
}

static void host_files(void **state)
{
    static const char *const good[][2] = {{"", ""},
                                          {"# c", ""},
                                          {"  a  # c", "a:1"},
                                          {"a:3\n", "a:3"},
                                          {"a:1\r\n", "a:1"},
                                          {"a slots=4 max_slots=8", "a:4"},
                                          {"a:2 slots=3", "a:3"},
                                          {"u@a slots=2", "u@a:2"},
                                          {"a:2 binding=user:0,1 ifname=eth1", "a:2"}};
    static const char *const bad[] = {"a b", "a slots=", "a slots=0", "a slot=2", "a:x", "--", "a slots=2x"};
    (void) state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct ame__hosts hosts = {0};
        assert_int_equal(ame__hosts_add_line(&hosts, good[i][0]), 0);
        assert_string_equal(text_of(&hosts), good[i][1]);
        ame__hosts_finish(&hosts);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ame__hosts hosts = {0};
        if (ame__hosts_add_line(&hosts, bad[i]) == 0) fail_msg("'%s' was accepted", bad[i]);
        ame__hosts_finish(&hosts);
    }
}

static void node_lists(void **state)
{
    static const char *const good[][3] = {
        {"n1", NULL, "n1:1"},
        {"h[1-3]", "2(x3)", "h1:2 h2:2 h3:2"},
        {"n[1,3]", "2,1", "n1:2 n3:1"},
        {"h1[01-03,7],gpu-a", "4(x2),1(x3)", "h101:4 h102:4 h103:1 h17:1 gpu-a:1"},
        {"x[1-2]y[3-4]", "1", "x1y3:1 x1y4:1 x2y3:1 x2y4:1"},
        {"a[8-11]b", "3(x4)", "a8b:3 a9b:3 a10b:3 a11b:3"},
        {"r[098-101]", NULL, "r098:1 r099:1 r100:1 r101:1"},
    };
    static const char *const bad[] = {"h[1-",          "h[a-b]",   "h[3-1]", "h[]1",
                                      "h[1-99999999]", "h[1-2-3]", "h[-1]",  "x[1;2]"};
    (void) state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct ame__hosts hosts = {0};
        assert_int_equal(ame__hosts_add_nodelist(&hosts, good[i][0], good[i][1]), 0);
        assert_string_equal(text_of(&hosts), good[i][2]);
        ame__hosts_finish(&hosts);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ame__hosts hosts = {0};
        if (ame__hosts_add_nodelist(&hosts, bad[i], NULL) == 0) fail_msg("'%s' was accepted", bad[i]);
        ame__hosts_finish(&hosts);
    }
    struct ame__hosts hosts = {0};
    assert_int_equal(ame__hosts_add_pairs(&hosts, "h1 4 h2 2"), 0);
    assert_string_equal(text_of(&hosts), "h1:4 h2:2");
    assert_int_not_equal(ame__hosts_add_pairs(&hosts, "h1 4 h2"), 0);
    ame__hosts_finish(&hosts);
}

static void places(void **state)
{
    static const struct {
        const char *list;
        enum ame__map map;
        int per_host, size;
        const char *places, *mapping;
    } cases[] = {
        {"a:2,b:2", AME__MAP_SLOT, 0, 4, "0011", "(vector,(0,2,2))"},
        {"a:2,b:1", AME__MAP_SLOT, 0, 7, "0010010", "(vector,(0,1,2),(1,1,1),(0,1,2),(1,1,1),(0,1,1))"},
        {"a:2,b:1", AME__MAP_SLOT, 0, 6, "001001", "(vector,(0,1,2),(1,1,1))"},
        {"a,b,c", AME__MAP_SLOT, 0, 9, "012012012", "(vector,(0,3,1))"},
        {"a:3,b:1", AME__MAP_NODE, 0, 6, "010001", NULL},
        {"a:2,b:2,c:2", AME__MAP_NODE, 0, 6, "012012", "(vector,(0,3,1))"},
        {"a:9,b", AME__MAP_SLOT, 2, 5, "00110", "(vector,(0,2,2),(0,1,1))"},
        {"a", AME__MAP_SLOT, 0, 3, "000", "(vector,(0,1,3))"},
    };
    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ame__hosts hosts = {0};
        int host_of[16];
        char text[16] = "", mapping[200];
        assert_int_equal(ame__hosts_add_list(&hosts, cases[i].list), 0);
        ame__hosts_map(&hosts, cases[i].map, cases[i].per_host, cases[i].size, host_of);
        for (int rank = 0; rank < cases[i].size; rank++) text[rank] = (char) ('0' + host_of[rank]);
        assert_string_equal(text, cases[i].places);
        assert_true(ame__hosts_mapping(host_of, cases[i].size, mapping, sizeof mapping));
        if (cases[i].mapping) assert_string_equal(mapping, cases[i].mapping);
        assert_false(ame__hosts_mapping(host_of, cases[i].size, mapping, 10));
        ame__hosts_finish(&hosts);
    }
}

/* ---- work ---------------------------------------------------------------------------------------- */

static void make_work(struct ame__work *work)
{
    static char *env[] = {(char *) "A=1", (char *) "B=", NULL}, *none[] = {NULL};
    static char *argv[] = {(char *) "prog", (char *) "", (char *) "x y", NULL}, *added[] = {(char *) "C=\n=", NULL};
    static struct ame__work_app apps[] = {{(char *) "/bin/prog", NULL, argv, added},
                                          {(char *) "./b", (char *) "dir", argv, none}};
    static struct ame__work_rank ranks[] = {{1, 0, AME__INPUT_NULL, false, false},
                                            {4, 1, AME__INPUT_PIPE, true, false},
                                            {7, 1, AME__INPUT_DIRECT, false, true}};
    *work = (struct ame__work){.size = 8,
                               .count = 3,
                               .ranks = ranks,
                               .app_count = 2,
                               .apps = apps,
                               .env = env,
                               .directory = (char *) "/home/x",
                               .job_id = (char *) "j",
                               .authkey = (char *) "k",
                               .address = (char *) "10.0.0.1",
                               .port = 4000,
                               .bind = AME__BIND_CORE,
                               .units = 2,
                               .grace_ms = 3000,
                               .files = UINT64_MAX,
                               .report_bindings = true,
                               .gpus_per_rank = 3,
                               .gpus_named = true};
}

static void work_survives_the_channel(void **state)
{
    struct ame__work work, copy;
    struct ame__bytes bytes = {0}, again = {0};
    (void) state;
    make_work(&work);
    ame__work_encode(&work, &bytes);
    assert_true(ame__work_decode(&copy, ame__bytes_data(&bytes), ame__bytes_length(&bytes)));
    ame__work_encode(&copy, &again);
    assert_int_equal(ame__bytes_length(&bytes), ame__bytes_length(&again));
    assert_memory_equal(ame__bytes_data(&bytes), ame__bytes_data(&again), ame__bytes_length(&bytes));
    assert_string_equal(copy.apps[1].directory, "dir");
    assert_null(copy.apps[0].directory);
    assert_string_equal(copy.apps[0].argv[2], "x y");
    assert_true(copy.ranks[1].direct_output && copy.ranks[2].pty && copy.files == UINT64_MAX);
    assert_int_equal(ame__work_find(&copy, 1), 0);
    assert_int_equal(ame__work_find(&copy, 7), 2);
    assert_int_equal(ame__work_find(&copy, 5), -1);
    assert_int_equal(ame__work_find(&copy, UINT32_MAX), -1);
    ame__work_finish(&copy);
    ame__bytes_finish(&bytes);
    ame__bytes_finish(&again);
}

/* Whatever is changed or missing, decoding reads nothing outside and leaves nothing behind. */
static void broken_work_is_refused(void **state)
{
    struct ame__work work, copy;
    struct ame__bytes bytes = {0};
    (void) state;
    make_work(&work);
    ame__work_encode(&work, &bytes);
    size_t length = ame__bytes_length(&bytes);
    for (size_t i = 0; i < length; i++) { /* an exact copy, so that a sanitizer sees a read behind the end */
        char *part = malloc(i + 1);
        assert_non_null(part);
        memcpy(part, ame__bytes_data(&bytes), i);
        assert_false(ame__work_decode(&copy, part, i));
        assert_null(copy.env);
        free(part);
    }
    for (size_t i = 0; i < length; i++)
        for (int change = 0; change < 3; change++) {
            char *part = malloc(length);
            assert_non_null(part);
            memcpy(part, ame__bytes_data(&bytes), length);
            part[i] = (char) (change == 0 ? 0 : change == 1 ? 0xff : part[i] + 1);
            if (ame__work_decode(&copy, part, length)) ame__work_finish(&copy);
            free(part);
        }
    ame__bytes_finish(&bytes);
}

static void frames_have_limits(void **state)
{
    unsigned char header[AME__FRAME_HEADER + 16] = {0};
    struct ame__frame frame = {.kind = AME__FRAME_START, .rank = AME__FRAME_ALL, .length = 8}, got;
    (void) state;
    ame__frame_encode(&frame, header);
    assert_int_equal(ame__frame_decode((char *) header, AME__FRAME_HEADER + 7, &got), 0);
    assert_int_equal(ame__frame_decode((char *) header, AME__FRAME_HEADER + 8, &got), AME__FRAME_HEADER + 8);
    for (int kind = 0; kind < 256; kind++) {
        frame.length = AME__FRAME_PAYLOAD_MAX + 1;
        frame.kind = (enum ame__frame_kind) kind;
        ame__frame_encode(&frame, header);
        assert_int_equal(ame__frame_decode((char *) header, sizeof header, &got), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(host_files),
        cmocka_unit_test(node_lists),
        cmocka_unit_test(places),
        cmocka_unit_test(work_survives_the_channel),
        cmocka_unit_test(broken_work_is_refused),
        cmocka_unit_test(frames_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
