/* Unit tests of runtime/net/addr.c: addresses as text, the grammar of AME_IFACE, and which addresses of another rank are
 * tried in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/addr.h"

static struct sockaddr_storage parsed(const char *text)
{
    struct sockaddr_storage address;
    assert_true(ame__address_parse(text, strlen(text), &address));
    return address;
}

static void addresses_round_trip(void **state)
{
    static const char *const good[] = {"127.0.0.1:1", "10.0.0.1:65535", "[::1]:80", "[fd00::2]:4000"};
    static const char *const bad[] = {"",           "10.0.0.1",     "10.0.0.1:",      "10.0.0.1:0",  "10.0.0.1:65536",
                                      "fd00::2:80", "[10.0.0.1]:1", "[fd00::2]",      "localhost:1", "10.0.0.1:80x",
                                      ":80",        "[]:80",        "10.0.0.1:99999", "[::1:80",     "10.0.0.1: 80"};
    char text[AME__ADDRESS_MAX];
    struct sockaddr_storage address;
    (void) state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        address = parsed(good[i]);
        ame__address_format((struct sockaddr *) &address, text);
        assert_string_equal(text, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ame__address_parse(bad[i], strlen(bad[i]), &address));
    address = parsed("[::ffff:10.0.0.1]:80"); /* how a socket for both families sees IPv4 */
    struct sockaddr_storage plain = parsed("10.0.0.1:81");
    ame__address_format((struct sockaddr *) &address, text);
    assert_string_equal(text, "10.0.0.1:80");
    assert_true(ame__address_equal((struct sockaddr *) &address, (struct sockaddr *) &plain));
}

static void networks_have_lengths(void **state)
{
    struct sockaddr_storage a = parsed("10.1.2.3:1"), b = parsed("10.1.3.3:1"), c = parsed("[fd00::1]:1");
    const struct sockaddr *first = (struct sockaddr *) &a, *second = (struct sockaddr *) &b;
    (void) state;
    assert_true(ame__address_in_network(first, second, 16));
    assert_true(ame__address_in_network(first, second, 23));
    assert_false(ame__address_in_network(first, second, 24));
    assert_true(ame__address_in_network(first, second, 0));
    assert_false(ame__address_in_network(first, second, 33));
    assert_false(ame__address_in_network(first, (struct sockaddr *) &c, 0));
}

static int rule(const char *text, const char *name, const char *address)
{
    struct sockaddr_storage parsed_address = parsed(address);
    return ame__iface_rule(text, name, (struct sockaddr *) &parsed_address);
}

static void rules_choose_interfaces(void **state)
{
    (void) state;
    assert_int_equal(rule("eth", "eth0", "10.0.0.1:1"), 1);
    assert_int_equal(rule("ib,eth", "eth1", "10.0.0.1:1"), 1);
    assert_int_equal(rule("ib", "eth0", "10.0.0.1:1"), 0);
    assert_int_equal(rule("=eth0", "eth0", "10.0.0.1:1"), 1);
    assert_int_equal(rule("=eth0", "eth01", "10.0.0.1:1"), 0);
    assert_int_equal(rule("^docker,virbr", "docker0", "10.0.0.1:1"), 0);
    assert_int_equal(rule("^docker,virbr", "eth0", "10.0.0.1:1"), 1);
    assert_int_equal(rule("^=eth0", "eth0", "10.0.0.1:1"), 0);
    assert_int_equal(rule("^=eth0", "eth01", "10.0.0.1:1"), 1);
    assert_int_equal(rule("10.0.0.0/8", "eth0", "10.2.0.1:1"), 1);
    assert_int_equal(rule("10.0.0.0/8", "eth0", "11.2.0.1:1"), 0);
    assert_int_equal(rule("fd00::/16", "eth0", "[fd00:1::1]:1"), 1);
    assert_int_equal(rule("^192.168.0.0/16,docker", "eth0", "192.168.1.1:1"), 0);
    assert_int_equal(rule("10.0.0.1", "eth0", "10.0.0.1:1"), 1);
}

static void bad_rules_are_told(void **state)
{
    static const char *const bad[] = {"",          "^",          "=",       "eth0,,ib0", "10.0.0.0/33",
                                      "10.0.0.0/", "10.0.0.0/x", "eth0/24", "a,^b"};
    (void) state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(rule(bad[i], "eth0", "10.0.0.1:1"), -1);
        assert_non_null(strstr(ame_last_error(), "AME_IFACE"));
    }
}

static void port_ranges_are_read(void **state)
{
    int first, last;
    (void) state;
    unsetenv("MPIEXEC_PORT_RANGE");
    unsetenv("AME_PORT_RANGE");
    assert_int_equal(ame__port_range(&first, &last), AME_OK);
    assert_int_equal(first, 0);
    setenv("MPIEXEC_PORT_RANGE", "2000:2010", 1);
    assert_int_equal(ame__port_range(&first, &last), AME_OK);
    assert_int_equal(first, 2000);
    setenv("AME_PORT_RANGE", "3000:3000", 1);
    assert_int_equal(ame__port_range(&first, &last), AME_OK);
    assert_int_equal(last, 3000);
    static const char *const bad[] = {"5", "5:", "0:5", "6:5", "1:65536", "a:b", "1:2:3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("AME_PORT_RANGE", bad[i], 1);
        assert_int_equal(ame__port_range(&first, &last), AME_E_CONFIG);
    }
    unsetenv("MPIEXEC_PORT_RANGE");
    unsetenv("AME_PORT_RANGE");
}

static void add_interface(struct ame__interfaces *all, const char *name, const char *address, int prefix, bool last)
{
    struct ame__interface *one = &all->list[all->count++];
    memset(one, 0, sizeof *one);
    snprintf(one->name, sizeof one->name, "%s", name);
    one->address = parsed(address);
    one->prefix = prefix;
    one->up = one->chosen = true;
    one->last_resort = last;
}

/* The order in which `list` is tried, as text. */
static const char *order(const char *list, bool same_host, const struct ame__interfaces *here)
{
    static char text[AME__CANDIDATES_MAX * AME__ADDRESS_MAX];
    struct sockaddr_storage out[AME__CANDIDATES_MAX];
    char one[AME__ADDRESS_MAX];
    int count = ame__addresses_order(list, same_host, here, out);
    if (count < 0) return "bad";
    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        ame__address_format((struct sockaddr *) &out[i], one);
        if (i) strcat(text, " ");
        strcat(text, one);
    }
    return text;
}

static void near_addresses_are_tried_first(void **state)
{
    static struct ame__interfaces here;
    (void) state;
    here.count = 0;
    add_interface(&here, "eth0", "10.0.0.7:1", 24, false);
    add_interface(&here, "docker0", "172.17.0.1:1", 16, true);
    assert_string_equal(order("127.0.0.1:5,192.168.1.1:5,10.0.0.9:5", false, &here), "10.0.0.9:5 192.168.1.1:5");
    assert_string_equal(order("127.0.0.1:5,10.0.0.9:5", true, &here), "127.0.0.1:5 10.0.0.9:5");
    assert_string_equal(order("10.1.0.9:5,172.17.0.2:5", false, &here), "10.1.0.9:5 172.17.0.2:5");
    assert_string_equal(order("172.17.0.1:5,10.1.0.9:5", false, &here), "10.1.0.9:5"); /* would lead back here */
    assert_string_equal(order("[fd00::1]:5,10.0.0.9:5", false, &here), "10.0.0.9:5 [fd00::1]:5");
    assert_string_equal(order("127.0.0.1:5", false, &here), "");
    assert_string_equal(order("10.0.0.9:5,", false, &here), "bad");
    assert_string_equal(order("", false, &here), "bad");
}

static void lists_stay_short(void **state)
{
    char list[AME__ADDRESSES_MAX] = "";
    struct sockaddr_storage address = parsed("[2001:db8:1111:2222:3333:4444:5555:6666]:1");
    int added = 0;
    (void) state;
    while (ame__addresses_add(list, (struct sockaddr *) &address, 65535)) added++;
    assert_in_range(added, 6, 8);
    assert_true(strlen(list) < sizeof list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_round_trip),    cmocka_unit_test(networks_have_lengths),
        cmocka_unit_test(rules_choose_interfaces), cmocka_unit_test(bad_rules_are_told),
        cmocka_unit_test(port_ranges_are_read),    cmocka_unit_test(near_addresses_are_tried_first),
        cmocka_unit_test(lists_stay_short)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
