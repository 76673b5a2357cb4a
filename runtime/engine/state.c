/* state.c - tells the host daemon what this rank is doing; see base/state.h for the page in which that stands.
 *
 * A call that waits carries a struct ame__wait. Nothing is written while it spins, so the fast way costs nothing; before it
 * sleeps for the first time it joins engine->waits, and leaves it when it has what it waited for. The page is about the
 * oldest of them, and is written again each time a thread goes to sleep, with the sums of what is queued and stored.
 */
#include "engine.h"

#include <string.h>

#include "base/clock.h"
#include "base/state.h"

enum {
    SUM_ALWAYS = 64,        /* with more ranks than that the sums are made */
    SUM_EVERY_NS = 20000000 /* so often at most */
};

static void describe_request(const struct ame_request *request, struct ame__report *report)
{
    static const enum ame__wait_kind kinds[] = {
        [AME__SEND] = AME__WAIT_SEND, [AME__RECV] = AME__WAIT_RECV, [AME__COLL] = AME__WAIT_COLL};
    if (report->kind != AME__WAIT_SEVERAL) report->kind = kinds[request->kind];
    report->peer = request->peer;
    report->tag = request->tag;
    report->length = request->length;
    report->members = request->comm ? request->comm->size : 0;
    if (request->kind != AME__COLL) return;
    report->number = (uint64_t) request->tag + 1;
    if (request->name) strncpy(report->call, request->name, AME__CALL_MAX - 1);
}

static void describe_wait(const struct ame__wait *wait, struct ame__report *report)
{
    const struct ame_request *request = wait->request;
    report->doing = AME__DOING_WAITING;
    report->since_ns = wait->since_ns;
    strncpy(report->call, wait->call, AME__CALL_MAX - 1);
    report->kind = wait->probe ? AME__WAIT_PROBE : AME__WAIT_OTHER;
    report->peer = wait->peer;
    report->tag = wait->tag;
    if (wait->requests) {
        report->kind = AME__WAIT_SEVERAL;
        for (size_t i = 0; i < wait->count && !request; i++)
            if (wait->requests[i] && !ame__request_is_done(wait->requests[i])) request = wait->requests[i];
    }
    if (request) describe_request(request, report);
    if (wait->requests) report->number = wait->count;
}

static void sum_up(struct ame__engine *engine, int64_t now)
{
    if (engine->size > SUM_ALWAYS && now - engine->summed_ns < SUM_EVERY_NS) return;
    engine->summed_ns = now;
    engine->queued = engine->stored = 0;
    ame__list_for_each(node, &engine->net.conns) engine->queued +=
        ame__container_of(node, struct ame__conn, link)->queued;
    for (int rank = 0; rank < engine->size; rank++) engine->stored += engine->peers[rank].stored;
}

static void publish(struct ame__engine *engine, int64_t now)
{
    struct ame__report report = {.doing = engine->doing, .since_ns = engine->doing_ns};
    if (engine->frames != engine->frames_told) engine->heard_ns = now;
    engine->frames_told = engine->frames;
    if (engine->peers) sum_up(engine, now);
    if (!ame__list_empty(&engine->waits))
        describe_wait(ame__container_of(ame__list_first(&engine->waits), struct ame__wait, link), &report);
    ame__list_for_each(node, &engine->waits) report.threads++;
    report.heard_ns = engine->heard_ns;
    report.queued = engine->queued;
    report.stored = engine->stored;
    ame__state_write(&report);
}

void ame__doing(enum ame__doing doing)
{
    struct ame__engine *engine = &ame__engine;
    if (!ame__state_attached()) return;
    engine->doing = doing;
    engine->doing_ns = ame__now_ns();
    publish(engine, engine->doing_ns);
}

void ame__wait_sleeps(struct ame__wait *wait)
{
    struct ame__engine *engine = &ame__engine;
    if (!ame__state_attached()) return;
    int64_t now = ame__now_ns();
    if (wait && !wait->since_ns) {
        wait->since_ns = now;
        ame__list_append(&engine->waits, &wait->link);
    }
    publish(engine, now);
}

void ame__wait_over(struct ame__wait *wait)
{
    struct ame__engine *engine = &ame__engine;
    if (!wait || !wait->since_ns) return;
    ame__list_remove(&wait->link);
    if (ame__list_empty(&engine->waits)) engine->doing_ns = ame__now_ns();
    publish(engine, engine->doing_ns);
}
