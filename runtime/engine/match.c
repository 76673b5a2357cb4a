/* match.c - matching of receives to messages on (context, source, tag), in the order of MPI: among the posted receives
 * that match a message the one posted first, among the messages that match a receive the one that arrived first.
 * Arrival order of one source is its sending order.
 *
 * A context has one lane per source, so that receives from a stated source never look at others; receives from any
 * source are a list of their own, and stamps tell which of two candidates is older.
 */
#include "engine.h"

#include <stdlib.h>

static size_t bucket_of(uint64_t id)
{
    return (size_t) ((id ^ id >> 32) * 0x9e3779b97f4a7c15u >> 56);
}

struct ame__context *ame__context_find(uint64_t id)
{
    struct ame__context *context = ame__engine.contexts[bucket_of(id) % AME__CONTEXT_BUCKETS];
    while (context && context->id != id) context = context->next;
    return context;
}

struct ame__context *ame__context_get(uint64_t id)
{
    struct ame__context **head = &ame__engine.contexts[bucket_of(id) % AME__CONTEXT_BUCKETS];
    struct ame__context *context = ame__context_find(id);
    if (context) return context;
    context = calloc(1, sizeof *context);
    if (!context) return NULL;
    context->lanes = calloc((size_t) ame__engine.size, sizeof *context->lanes);
    if (!context->lanes) {
        free(context);
        return NULL;
    }
    context->id = id;
    ame__list_init(&context->any_posted);
    ame__list_init(&context->arrived);
    context->next = *head;
    *head = context;
    return context;
}

static void drop(struct ame_message *message)
{
    ame__match_take(message);
    if (message->complete)
        ame__message_drop(message);
    else
        message->unwanted = true;
}

void ame__context_destroy(struct ame__context *context)
{
    struct ame__engine *engine = &ame__engine;
    struct ame__context **at = &engine->contexts[bucket_of(context->id) % AME__CONTEXT_BUCKETS];
    while (*at != context) at = &(*at)->next;
    *at = context->next;
    engine->freed[engine->freed_count++ % AME__FREED_MAX] = context->id;
    for (struct ame__list *node; (node = ame__list_first(&context->arrived));)
        drop(ame__container_of(node, struct ame_message, in_context));
    free(context->lanes);
    free(context);
}

bool ame__context_was_freed(uint64_t id)
{
    const struct ame__engine *engine = &ame__engine;
    uint32_t count = engine->freed_count < AME__FREED_MAX ? engine->freed_count : AME__FREED_MAX;
    for (uint32_t i = 0; i < count; i++)
        if (engine->freed[i] == id) return true;
    return false;
}

void ame__context_close(struct ame__context *context, int tag)
{
    context->closed = true;
    context->closed_from = tag;
    ame__list_for_each(node, &context->arrived)
    {
        struct ame_message *message = ame__container_of(node, struct ame_message, in_context);
        if (message->tag >= tag && !message->lasting) drop(message);
    }
}

/* Lanes come zeroed and are set up when first used: most ranks talk to few others. */
static struct ame__lane *lane_of(struct ame__context *context, int source)
{
    struct ame__lane *lane = &context->lanes[source];
    if (!lane->posted.next) {
        ame__list_init(&lane->posted);
        ame__list_init(&lane->arrived);
    }
    return lane;
}

static struct ame_request *first_posted(struct ame__list *list, int tag)
{
    ame__list_for_each(node, list)
    {
        struct ame_request *request = ame__container_of(node, struct ame_request, link);
        if (request->tag == tag || request->tag == AME_ANY_TAG || tag == AME_ANY_TAG) return request;
    }
    return NULL;
}

struct ame_request *ame__match_peek(struct ame__context *context, int source, int tag)
{
    struct ame_request *request = first_posted(&lane_of(context, source)->posted, tag);
    if (!ame__list_empty(&context->any_posted)) {
        struct ame_request *any = first_posted(&context->any_posted, tag);
        if (any && (!request || any->stamp < request->stamp)) request = any;
    }
    return request;
}

struct ame_request *ame__match_posted(struct ame__context *context, int source, int tag)
{
    struct ame_request *request = ame__match_peek(context, source, tag);
    if (request) ame__list_remove(&request->link);
    return request;
}

struct ame_request *ame__match_posted_from(struct ame__context *context, int source, int tag)
{
    ame__list_for_each(node, &lane_of(context, source)->posted)
    {
        struct ame_request *request = ame__container_of(node, struct ame_request, link);
        if (request->tag < tag) continue;
        ame__list_remove(&request->link);
        return request;
    }
    return NULL;
}

struct ame_message *ame__match_arrived(struct ame__context *context, int source, int tag)
{
    if (source == AME_ANY_SOURCE) {
        ame__list_for_each(node, &context->arrived)
        {
            struct ame_message *message = ame__container_of(node, struct ame_message, in_context);
            if (message->tag == tag || tag == AME_ANY_TAG) return message;
        }
        return NULL;
    }
    ame__list_for_each(node, &lane_of(context, source)->arrived)
    {
        struct ame_message *message = ame__container_of(node, struct ame_message, in_lane);
        if (message->tag == tag || tag == AME_ANY_TAG || (message->lasting && message->tag < tag)) return message;
    }
    return NULL;
}

void ame__match_post(struct ame__context *context, struct ame_request *request)
{
    request->stamp = context->stamp++;
    request->phase = AME__POSTED;
    ame__list_append(request->peer == AME_ANY_SOURCE ? &context->any_posted : &lane_of(context, request->peer)->posted,
                     &request->link);
}

void ame__match_store(struct ame__context *context, struct ame_message *message)
{
    ame__list_append(&lane_of(context, message->source)->arrived, &message->in_lane);
    ame__list_append(&context->arrived, &message->in_context);
    ame__wake(); /* somebody may be probing for it */
}

void ame__match_take(struct ame_message *message)
{
    ame__list_remove(&message->in_lane);
    ame__list_remove(&message->in_context);
}
