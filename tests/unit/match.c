/* Unit tests of matching and of the requests' names on the wire, without any connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

static int set_up(void **state)
{
    (void) state;
    ame__engine.size = 4;
    ame__list_init(&ame__engine.free_requests);
    ame__list_init(&ame__engine.request_blocks);
    ame__engine.peers = calloc(4, sizeof *ame__engine.peers);
    return ame__engine.peers ? 0 : -1;
}

static int tear_down(void **state)
{
    (void) state;
    ame__engine.wake_fd = -1;
    ame__engine.boot.fd = -1;
    ame__engine_free();
    ame__engine.slots = NULL;
    ame__engine.slot_count = ame__engine.free_slot = 0;
    return 0;
}

static struct ame_request *post(struct ame__context *context, int source, int tag)
{
    struct ame_request *request = ame__request_create();
    assert_non_null(request);
    request->kind = AME__RECV;
    request->peer = source;
    request->tag = tag;
    ame__match_post(context, request);
    return request;
}

static struct ame_message *store(struct ame__context *context, int source, int tag)
{
    struct ame_message *message = calloc(1, sizeof *message);
    assert_non_null(message);
    message->source = source;
    message->tag = tag;
    message->complete = true;
    ame__match_store(context, message);
    return message;
}

static void receives_match_in_the_order_of_posting(void **state)
{
    struct ame__context *context = ame__context_get(10);
    (void) state;
    struct ame_request *a = post(context, 1, 5), *b = post(context, AME_ANY_SOURCE, 5), *c = post(context, 1, 5);
    struct ame_request *d = post(context, AME_ANY_SOURCE, AME_ANY_TAG), *e = post(context, 2, AME_ANY_TAG);
    assert_ptr_equal(ame__match_posted(context, 1, 5), a);
    assert_ptr_equal(ame__match_posted(context, 1, 5), b);
    assert_ptr_equal(ame__match_posted(context, 1, 5), c);
    assert_ptr_equal(ame__match_posted(context, 2, 9), d);
    assert_ptr_equal(ame__match_posted(context, 2, 9), e);
    assert_null(ame__match_posted(context, 2, 9));
}

static void tags_and_sources_are_respected(void **state)
{
    struct ame__context *context = ame__context_get(10);
    (void) state;
    struct ame_request *a = post(context, 1, 5);
    assert_null(ame__match_posted(context, 1, 6));
    assert_null(ame__match_posted(context, 2, 5));
    assert_null(ame__match_posted(ame__context_get(12), 1, 5));
    assert_ptr_equal(ame__match_posted(context, 1, 5), a);
}

static void messages_match_in_the_order_of_arrival(void **state)
{
    struct ame__context *context = ame__context_get(10);
    (void) state;
    struct ame_message *a = store(context, 2, 1), *b = store(context, 1, 1), *c = store(context, 2, 7);
    assert_ptr_equal(ame__match_arrived(context, AME_ANY_SOURCE, AME_ANY_TAG), a);
    assert_ptr_equal(ame__match_arrived(context, AME_ANY_SOURCE, 7), c);
    assert_ptr_equal(ame__match_arrived(context, 1, AME_ANY_TAG), b);
    assert_ptr_equal(ame__match_arrived(context, 2, 1), a);
    assert_null(ame__match_arrived(context, 3, AME_ANY_TAG));
    ame__match_take(a);
    assert_ptr_equal(ame__match_arrived(context, 2, AME_ANY_TAG), c);
    assert_ptr_equal(ame__match_arrived(context, AME_ANY_SOURCE, AME_ANY_TAG), b);
    free(a);
}

static void contexts_are_found_again(void **state)
{
    struct ame__context *all[1000];
    (void) state;
    for (uint64_t i = 0; i < 1000; i++) all[i] = ame__context_get(i * 0x123456789abcu);
    for (uint64_t i = 0; i < 1000; i++) assert_ptr_equal(ame__context_get(i * 0x123456789abcu), all[i]);
    for (int i = 0; i < 1000; i += 2) ame__context_destroy(all[i]);
    for (uint64_t i = 1; i < 1000; i += 2) assert_ptr_equal(ame__context_get(i * 0x123456789abcu), all[i]);
}

static void late_answers_find_nothing(void **state)
{
    (void) state;
    struct ame_request *request = ame__request_create(), *other = ame__request_create();
    request->kind = other->kind = AME__SEND;
    request->peer = other->peer = 2;
    assert_int_equal(ame__slot_take(request), AME_OK);
    uint64_t name = request->slot;
    assert_int_not_equal(name, 0);
    assert_ptr_equal(ame__slot_find(name, 2, AME__SEND), request);
    assert_null(ame__slot_find(name, 1, AME__SEND));
    assert_null(ame__slot_find(name, 2, AME__RECV));
    assert_null(ame__slot_find(name + 1, 2, AME__SEND));
    assert_null(ame__slot_find(UINT64_MAX, 2, AME__SEND));
    ame__slot_drop(request);
    assert_null(ame__slot_find(name, 2, AME__SEND));
    assert_int_equal(ame__slot_take(other), AME_OK); /* the same place again, under another name */
    assert_null(ame__slot_find(name, 2, AME__SEND));
    assert_ptr_equal(ame__slot_find(other->slot, 2, AME__SEND), other);
}

static void many_slots(void **state)
{
    enum { MANY = 1000 };
    struct ame_request *requests[MANY];
    (void) state;
    for (int i = 0; i < MANY; i++) {
        requests[i] = ame__request_create();
        requests[i]->kind = AME__SEND;
        assert_int_equal(ame__slot_take(requests[i]), AME_OK);
    }
    for (int i = 0; i < MANY; i++) assert_ptr_equal(ame__slot_find(requests[i]->slot, 0, AME__SEND), requests[i]);
}

static void released_requests_lose_their_magic(void **state)
{
    (void) state;
    struct ame_request *request = ame__request_create();
    assert_int_equal(request->magic, AME__REQUEST_MAGIC);
    ame__request_release(request);
    assert_int_not_equal(request->magic, AME__REQUEST_MAGIC);
    assert_ptr_equal(ame__request_create(), request);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {TEST(receives_match_in_the_order_of_posting),
                                       TEST(tags_and_sources_are_respected),
                                       TEST(messages_match_in_the_order_of_arrival),
                                       TEST(contexts_are_found_again),
                                       TEST(late_answers_find_nothing),
                                       TEST(many_slots),
                                       TEST(released_requests_lose_their_magic)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
