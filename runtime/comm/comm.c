/* comm.c - communicators.
 *
 * A communicator is a group of ranks and two contexts, an even one for point-to-point messages and an odd one for
 * collective calls. Its context id is a hash of its lineage: the parent's id, how many children the parent has had, and
 * the colour. All members make the same children in the same order, so all compute the same id without a message, and
 * dup costs nothing. 63 bits make an accidental clash of two live communicators a matter of 1 in 10^12 for thousands of
 * them.
 */
#include "comm.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* File scope: the communicators of the process, guarded by the engine's lock. */
static struct ame__list comms = {&comms, &comms};
static struct ame_comm *world, *self;

ame_comm *ame_comm_world(void)
{
    return world;
}

ame_comm *ame_comm_self(void)
{
    return self;
}

int ame__comm_check(const struct ame_comm *comm, const char *function)
{
    ame__list_for_each(node, &comms) if (ame__container_of(node, struct ame_comm, link) == comm) return AME_OK;
    return ame__fail(AME_E_COMM, "%s: argument 'comm' %s", function,
                     comm ? "is not a communicator (freed already?)" : "is NULL");
}

int ame__comm_check_rank(const struct ame_comm *comm, int rank, const char *argument, const char *function)
{
    if (rank >= 0 && rank < comm->size) return AME_OK;
    return ame__fail(AME_E_RANK, "%s: argument '%s' is %d; the communicator has the ranks 0 to %d", function, argument,
                     rank, comm->size - 1);
}

int ame__check_buffer(const void *buffer, size_t length, const char *argument, const char *function)
{
    if (buffer || length == 0) return AME_OK;
    return ame__fail(AME_E_ARG, "%s: argument '%s' is NULL, but the length is %zu", function, argument, length);
}

static void destroy(struct ame_comm *comm)
{
    ame__list_remove(&comm->link);
    ame__context_destroy(comm->context);
    ame__context_destroy(comm->collective);
    free(comm->world);
    free(comm->local);
    free(comm);
}

static int *inverse_of(const int *members, int size)
{
    int *local = malloc((size_t) ame__engine.size * sizeof *local);
    if (!local) return NULL;
    for (int rank = 0; rank < ame__engine.size; rank++) local[rank] = -1;
    for (int rank = 0; rank < size; rank++) local[members[rank]] = rank;
    return local;
}

struct ame_comm *ame__comm_create(uint64_t lineage, int rank, int size, int *members)
{
    struct ame_comm *comm = calloc(1, sizeof *comm);
    if (comm) {
        comm->rank = rank;
        comm->size = size;
        comm->world = members;
        comm->local = members ? inverse_of(members, size) : NULL;
        comm->lineage = lineage & ~(uint64_t) 1;
        comm->context = ame__context_get(comm->lineage);
        comm->collective = ame__context_get(comm->lineage | 1);
    }
    if (!comm || !comm->context || !comm->collective || (members && !comm->local)) {
        if (comm) free(comm->local);
        free(comm);
        ame__fail(AME_E_NOMEM, "rank %d: out of memory for a communicator of %d ranks", ame__engine.rank, size);
        return NULL;
    }
    ame__list_append(&comms, &comm->link);
    return comm;
}

void ame__comm_absent(uint64_t lineage, int rank)
{
    char text[160];
    struct ame__context collective = {.id = lineage | 1};
    snprintf(text, sizeof text,
             "rank %d of the world, on host %s, had no memory for this communicator and is not in it", ame__engine.rank,
             ame__engine.host);
    ame__send_poison(&collective, rank, 0, 0, AME_E_NOMEM, 0, text, true);
}

uint64_t ame__comm_child_lineage(struct ame_comm *parent, uint64_t color)
{
    unsigned char hash[crypto_generichash_BYTES_MIN], bytes[24];
    ame__put64(bytes, parent->lineage);
    ame__put64(bytes + 8, ++parent->children);
    ame__put64(bytes + 16, color);
    crypto_generichash(hash, sizeof hash, bytes, sizeof bytes, NULL, 0);
    uint64_t id = ame__get64(hash) & ~(uint64_t) 1;
    return id > 3 ? id : 4; /* 0 and 2 are world and self */
}

int ame__comm_world_create(void)
{
    int *me = malloc(sizeof *me);
    if (!me) return ame__fail(AME_E_NOMEM, "out of memory");
    *me = ame__engine.rank;
    world = ame__comm_create(0, ame__engine.rank, ame__engine.size, NULL);
    self = world ? ame__comm_create(2, 0, 1, me) : NULL;
    if (!self) {
        free(me);
        return AME_E_NOMEM;
    }
    world->predefined = self->predefined = true;
    return AME_OK;
}

void ame__comm_free_all(void)
{
    for (struct ame__list *node; (node = ame__list_first(&comms));)
        destroy(ame__container_of(node, struct ame_comm, link));
    world = self = NULL;
}

/* ---- public -------------------------------------------------------------------------------------- */

static int ask(const struct ame_comm *comm, const char *function, int (*answer)(const struct ame_comm *, int), int arg)
{
    int code = ame__enter(function);
    if (code) return code;
    code = ame__comm_check(comm, function);
    if (!code) code = answer(comm, arg);
    ame__leave();
    return code;
}

static int answer_rank(const struct ame_comm *comm, int unused)
{
    (void) unused;
    return comm->rank;
}

static int answer_size(const struct ame_comm *comm, int unused)
{
    (void) unused;
    return comm->size;
}

static int answer_world_rank(const struct ame_comm *comm, int rank)
{
    int code = ame__comm_check_rank(comm, rank, "rank", "ame_comm_world_rank");
    return code ? code : ame__comm_to_world(comm, rank);
}

int ame_comm_rank(const ame_comm *comm)
{
    return ask(comm, "ame_comm_rank", answer_rank, 0);
}

int ame_comm_size(const ame_comm *comm)
{
    return ask(comm, "ame_comm_size", answer_size, 0);
}

int ame_comm_world_rank(const ame_comm *comm, int rank)
{
    return ask(comm, "ame_comm_world_rank", answer_world_rank, rank);
}

int ame_comm_dup(ame_comm *comm, ame_comm **newcomm)
{
    static const char function[] = "ame_comm_dup";
    int code = ame__enter(function);
    if (code) return code;
    code = ame__comm_check(comm, function);
    if (!code && !newcomm) code = ame__fail(AME_E_ARG, "%s: argument 'newcomm' is NULL", function);
    if (!code) {
        uint64_t lineage = ame__comm_child_lineage(comm, UINT64_MAX); /* first: all count their children alike */
        size_t bytes = (size_t) comm->size * sizeof *comm->world;
        int *members = comm->world ? malloc(bytes) : NULL;
        if (members) memcpy(members, comm->world, bytes);
        struct ame_comm *copy = NULL;
        if (members || !comm->world)
            copy = ame__comm_create(lineage, comm->rank, comm->size, members);
        else
            ame__fail(AME_E_NOMEM, "%s: out of memory", function);
        if (copy)
            *newcomm = copy;
        else
            free(members), code = AME_E_NOMEM;
        for (int rank = 0; !copy && rank < comm->size; rank++)
            ame__comm_absent(lineage, ame__comm_to_world(comm, rank));
    }
    ame__leave();
    return code;
}

int ame_comm_free(ame_comm **comm)
{
    static const char function[] = "ame_comm_free";
    int code = ame__enter(function);
    if (code) return code;
    if (!comm)
        code = ame__fail(AME_E_ARG, "%s: argument 'comm' is NULL", function);
    else
        code = ame__comm_check(*comm, function);
    if (!code && (*comm)->active)
        code = ame__fail(AME_E_COMM, "%s: %d operations on the communicator have not completed; wait for them first",
                         function, (*comm)->active);
    if (!code && (*comm)->predefined)
        code = ame__fail(AME_E_COMM, "%s: AME_COMM_WORLD and AME_COMM_SELF are not freed", function);
    if (!code) {
        destroy(*comm);
        *comm = NULL;
    }
    ame__leave();
    return code;
}
