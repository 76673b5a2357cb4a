/* comm.c - communicators: made, compared, freed.
 *
 * All members of a new communicator must come to the same number for its messages (its lineage). Where all members of an old
 * one take part, libame counts for us (ame__seam_child); MPI_Comm_create_group, which only the members of the group call,
 * counts the calls with the same group and tag. An intercommunicator is a communicator of libame over both groups: first the
 * one that both sides agree to be first.
 */
#include "layer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mpi__comm mpi__world, mpi__self;

/* ---- beginning and end of one -------------------------------------------------------------------- */

static int predefine(struct mpi__comm *comm, MPI_Comm handle, ame_comm *ame, const char *name)
{
    int size = ame_comm_size(ame);
    if (size < 0) return mpi__fail_ame(size); /* another rank has ended the job already */
    mpi__object_predefine(&comm->object, MPI__COMM, MPI__BITS(handle));
    comm->ame = ame;
    comm->rank = ame_comm_rank(ame);
    comm->size = size;
    comm->group = mpi__group_new(size);
    if (!comm->group) return mpi__no_memory();
    for (int rank = 0; rank < size; rank++) comm->group->world[rank] = ame_comm_world_rank(ame, rank);
    mpi__group_find(comm->group);
    if (!comm->errhandler) comm->errhandler = &mpi__errors_are_fatal;
    snprintf(comm->name, sizeof comm->name, "%s", name);
    return MPI_SUCCESS;
}

int mpi__comms_open(void)
{
    int code = predefine(&mpi__world, MPI_COMM_WORLD, ame_comm_world(), "MPI_COMM_WORLD");
    return code ? code : predefine(&mpi__self, MPI_COMM_SELF, ame_comm_self(), "MPI_COMM_SELF");
}

static void release_parts(struct mpi__comm *comm)
{
    mpi__group_drop(comm->group);
    mpi__group_drop(comm->remote);
    mpi__topology_drop(comm->topology);
    mpi__info_drop(comm->info);
    mpi__buffer_free(comm->buffer);
    mpi__errhandler_set(&comm->errhandler, NULL);
    free(comm->named);
    comm->group = comm->remote = NULL;
    comm->topology = NULL;
    comm->info = NULL;
    comm->buffer = NULL;
    comm->named = NULL;
}

void mpi__comms_close(void)
{
    release_parts(&mpi__world);
    release_parts(&mpi__self);
}

void mpi__comm_drop(struct mpi__comm *comm)
{
    if (!comm || !mpi__object_drop(&comm->object)) return;
    mpi__buffer_free(comm->buffer);
    comm->buffer = NULL;
    if (comm->ame) (void) ame_comm_free(&comm->ame);
    mpi__comm_drop(comm->local);
    release_parts(comm);
    free(comm);
}

/* The parts that intra- and intercommunicators have in common. */
static struct mpi__comm *begin(struct mpi__group *group)
{
    struct mpi__comm *comm = calloc(1, sizeof *comm);
    if (!comm || mpi__object_init(&comm->object, MPI__COMM)) {
        free(comm);
        return NULL;
    }
    mpi__object_hold(&group->object);
    comm->group = group;
    comm->rank = group->rank;
    comm->size = group->size;
    mpi__errhandler_set(&comm->errhandler, &mpi__errors_are_fatal);
    return comm;
}

int mpi__comm_new(uint64_t lineage, struct mpi__group *group, struct mpi__comm **newcomm)
{
    struct mpi__comm *comm = begin(group);
    if (!comm) return mpi__no_memory();
    int code = mpi__fail_ame(ame__seam_comm(lineage, group->rank, group->size, group->world, &comm->ame));
    if (code) {
        mpi__comm_drop(comm);
        return code;
    }
    *newcomm = comm;
    return MPI_SUCCESS;
}

/* `first`: the local group comes first in the union. */
static int intercomm_new(uint64_t lineage, struct mpi__group *local, struct mpi__group *remote, bool first,
                         struct mpi__comm **newcomm)
{
    int size = local->size + remote->size, code;
    int *world = malloc((size_t) size * sizeof *world);
    struct mpi__comm *comm = begin(local);
    if (!world || !comm) {
        free(world);
        mpi__comm_drop(comm);
        return mpi__no_memory();
    }
    mpi__object_hold(&remote->object);
    comm->inter = true;
    comm->remote = remote;
    comm->local_base = first ? 0 : remote->size;
    comm->remote_base = first ? local->size : 0;
    memcpy(world + comm->local_base, local->world, (size_t) local->size * sizeof *world);
    memcpy(world + comm->remote_base, remote->world, (size_t) remote->size * sizeof *world);
    code = mpi__fail_ame(ame__seam_comm(lineage, comm->local_base + local->rank, size, world, &comm->ame));
    free(world);
    uint64_t side[2] = {lineage, first};
    if (!code) code = mpi__comm_new(ame__seam_hash(side, sizeof side), local, &comm->local);
    if (code) {
        mpi__comm_drop(comm);
        return code;
    }
    *newcomm = comm;
    return MPI_SUCCESS;
}

/* ---- copies -------------------------------------------------------------------------------------- */

/* Of an info object, what MPI knows as hints for a communicator (MPI 4.1, 7.4.4); others are ignored. */
static struct mpi__info *known_hints(const struct mpi__info *info)
{
    struct mpi__info *copy = mpi__info_new();
    for (int i = 0; copy && info && i < info->count; i++)
        if (strncmp(info->pairs[i].key, "mpi_", 4) == 0)
            (void) mpi__info_put(copy, info->pairs[i].key, info->pairs[i].value);
    return copy;
}

static int duplicate(struct mpi__comm *comm, const struct mpi__info *info, struct mpi__comm **newcomm)
{
    struct mpi__comm *copy = NULL;
    uint64_t lineage = ame__seam_child(comm->ame, UINT64_MAX);
    int code = comm->inter ? intercomm_new(lineage, comm->group, comm->remote, comm->local_base == 0, &copy)
                           : mpi__comm_new(lineage, comm->group, &copy);
    if (code) return code;
    mpi__errhandler_set(&copy->errhandler, comm->errhandler);
    if (comm->topology) code = mpi__topology_copy(comm->topology, &copy->topology);
    if (!code && info && !(copy->info = known_hints(info))) code = mpi__no_memory();
    if (!code) code = mpi__attributes_copy(MPI__COMM, comm->object.handle, comm->attributes, &copy->attributes);
    if (code) {
        (void) mpi__attributes_delete(MPI__COMM, copy->object.handle, &copy->attributes);
        mpi__comm_drop(copy);
        return code;
    }
    *newcomm = copy;
    return MPI_SUCCESS;
}

int mpi__Comm_dup(struct mpi__comm *comm, struct mpi__comm **newcomm)
{
    return duplicate(comm, comm->info, newcomm);
}

int mpi__Comm_dup_with_info(struct mpi__comm *comm, struct mpi__info *info, struct mpi__comm **newcomm)
{
    return duplicate(comm, info, newcomm);
}

int mpi__Comm_idup(struct mpi__comm *comm, struct mpi__comm **newcomm, struct mpi__request **request)
{
    return mpi__Comm_idup_with_info(comm, comm->info, newcomm, request);
}

int mpi__Comm_idup_with_info(struct mpi__comm *comm, struct mpi__info *info, struct mpi__comm **newcomm,
                             struct mpi__request **request)
{
    int code = mpi__request_done(&mpi__empty, request);
    if (!code) code = duplicate(comm, info, newcomm);
    if (code && *request) mpi__request_drop(*request);
    return code;
}

/* ---- parts --------------------------------------------------------------------------------------- */

struct member {
    int color, key, rank; /* rank in the union, or in the communicator */
};

static int by_key(const void *a, const void *b)
{
    const struct member *left = a, *right = b;
    if (left->key != right->key) return left->key < right->key ? -1 : 1;
    return left->rank < right->rank ? -1 : 1;
}

/* The group of those in all[first .. first + count - 1] that have this colour; *group NULL if there are none. */
static int group_of(const struct mpi__comm *comm, const struct member *all, int first, int count, int color,
                    struct mpi__group **group)
{
    struct member *chosen = malloc(((size_t) count + 1) * sizeof *chosen);
    int size = 0;
    *group = NULL;
    if (!chosen) return mpi__no_memory();
    for (int i = first; i < first + count; i++)
        if (all[i].color == color) chosen[size++] = all[i];
    qsort(chosen, (size_t) size, sizeof *chosen, by_key);
    if (size) *group = mpi__group_new(size);
    for (int i = 0; *group && i < size; i++) (*group)->world[i] = ame_comm_world_rank(comm->ame, chosen[i].rank);
    if (*group) mpi__group_find(*group);
    free(chosen);
    return size && !*group ? mpi__no_memory() : MPI_SUCCESS;
}

/* All tell colour and key; those with the same colour become a communicator. Colour MPI_UNDEFINED: none. */
static int split(struct mpi__comm *comm, int color, int key, struct mpi__comm **newcomm)
{
    int size = ame_comm_size(comm->ame), code;
    struct member mine = {.color = color, .key = key, .rank = ame_comm_rank(comm->ame)};
    struct member *all = malloc((size_t) size * sizeof *all);
    struct mpi__group *local = NULL, *remote = NULL;
    uint64_t lineage = ame__seam_child(comm->ame, (uint64_t) (uint32_t) color);
    if (!all) return mpi__no_memory();
    *newcomm = NULL;
    code = mpi__fail_ame(ame_allgather(&mine, sizeof mine, all, comm->ame));
    if (!code && color != MPI_UNDEFINED) {
        code = group_of(comm, all, comm->local_base, comm->size, color, &local);
        if (!code && comm->inter) {
            code = group_of(comm, all, comm->remote_base, comm->remote->size, color, &remote);
            if (!code && remote) code = intercomm_new(lineage, local, remote, comm->local_base == 0, newcomm);
        } else if (!code) {
            code = mpi__comm_new(lineage, local, newcomm);
        }
        if (!code && *newcomm) mpi__errhandler_set(&(*newcomm)->errhandler, comm->errhandler);
    }
    mpi__group_drop(local);
    mpi__group_drop(remote);
    free(all);
    return code;
}

int mpi__Comm_split(struct mpi__comm *comm, int color, int key, struct mpi__comm **newcomm)
{
    if (color < 0 && color != MPI_UNDEFINED)
        return mpi__fail(MPI_ERR_ARG, "argument 'color' is %d; it must be 0 or more, or MPI_UNDEFINED", color);
    return split(comm, color, key, newcomm);
}

/* A number for the host of this process: its boot, and its name, since containers share the former. */
static uint64_t host_number(void)
{
    char text[128] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, text, 40) < 0) *text = 0;
        close(fd);
    }
    gethostname(text + 40, sizeof text - 41);
    return ame__seam_hash(text, sizeof text);
}

/* The one type of resource that is known: what MPI_COMM_TYPE_SHARED stands for. */
static bool is_shared_memory(int split_type, const struct mpi__info *info)
{
    const char *wanted = info ? mpi__info_find(info, "mpi_hw_resource_type") : NULL;
    return (split_type == MPI_COMM_TYPE_HW_GUIDED || split_type == MPI_COMM_TYPE_RESOURCE_GUIDED) && wanted &&
           !strcmp(wanted, "mpi_shared_memory");
}

int mpi__Comm_split_type(struct mpi__comm *comm, int split_type, int key, struct mpi__info *info,
                         struct mpi__comm **newcomm)
{
    static const int types[] = {MPI_COMM_TYPE_SHARED, MPI_COMM_TYPE_HW_UNGUIDED, MPI_COMM_TYPE_HW_GUIDED,
                                MPI_COMM_TYPE_RESOURCE_GUIDED, MPI_UNDEFINED};
    bool known = false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) known |= types[i] == split_type;
    if (!known) return mpi__fail(MPI_ERR_ARG, "argument 'split_type' is %d, which is no type", split_type);
    int size = ame_comm_size(comm->ame), color = MPI_UNDEFINED;
    uint64_t mine = host_number(), *all = malloc((size_t) size * sizeof *all);
    if (!all) return mpi__no_memory();
    int code = mpi__fail_ame(ame_allgather(&mine, sizeof mine, all, comm->ame));
    bool shared = split_type == MPI_COMM_TYPE_SHARED || is_shared_memory(split_type, info);
    for (int rank = size; !code && shared && rank-- > 0;)
        if (all[rank] == mine) color = rank;
    free(all);
    return code ? code : split(comm, color, key, newcomm);
}

int mpi__Comm_create(struct mpi__comm *comm, struct mpi__group *group, struct mpi__comm **newcomm)
{
    for (int i = 0; i < group->size; i++) {
        bool member = false;
        for (int rank = 0; rank < comm->size && !member; rank++) member = comm->group->world[rank] == group->world[i];
        if (!member) return mpi__fail(MPI_ERR_GROUP, "argument 'group' has ranks that are not in 'comm'");
    }
    *newcomm = NULL;
    if (!comm->inter) {
        uint64_t number = ame__seam_hash(group->world, (size_t) group->size * sizeof *group->world);
        uint64_t lineage = ame__seam_child(comm->ame, number);
        int code = group->rank == MPI_UNDEFINED ? MPI_SUCCESS : mpi__comm_new(lineage, group, newcomm);
        if (!code && *newcomm) mpi__errhandler_set(&(*newcomm)->errhandler, comm->errhandler);
        return code;
    }
    /* Each side learns the group of the other. */
    bool in = group->rank != MPI_UNDEFINED;
    return split(comm, in ? 0 : MPI_UNDEFINED, in ? group->rank : 0, newcomm);
}

/* How often this group has made a communicator with this tag or text; counted alike by all members. */
static int count_named(struct mpi__comm *comm, uint64_t key, uint64_t *count)
{
    for (int i = 0; i < comm->named_count; i++)
        if (comm->named[i].key == key) {
            *count = ++comm->named[i].count;
            return MPI_SUCCESS;
        }
    struct mpi__named *more = realloc(comm->named, (size_t) (comm->named_count + 1) * sizeof *more);
    if (!more) return mpi__no_memory();
    comm->named = more;
    more[comm->named_count++] = (struct mpi__named){.key = key, .count = 1};
    *count = 1;
    return MPI_SUCCESS;
}

static int create_named(struct mpi__comm *comm, struct mpi__group *group, uint64_t name, struct mpi__comm **newcomm)
{
    uint64_t parts[3] = {ame__seam_lineage(comm->ame), name,
                         ame__seam_hash(group->world, (size_t) group->size * sizeof *group->world)};
    uint64_t again[2] = {ame__seam_hash(parts, sizeof parts), 0};
    int code = count_named(comm, again[0], &again[1]);
    if (code) return code;
    return mpi__comm_new(ame__seam_hash(again, sizeof again), group, newcomm);
}

int mpi__Comm_create_group(struct mpi__comm *comm, struct mpi__group *group, int tag, struct mpi__comm **newcomm)
{
    if (comm->inter) return mpi__fail(MPI_ERR_COMM, "argument 'comm' is an intercommunicator");
    if (tag < 0) return mpi__fail(MPI_ERR_TAG, "argument 'tag' is %d", tag);
    *newcomm = NULL;
    if (group->rank == MPI_UNDEFINED) return MPI_SUCCESS;
    int code = create_named(comm, group, (uint64_t) (uint32_t) tag, newcomm);
    if (!code) mpi__errhandler_set(&(*newcomm)->errhandler, comm->errhandler);
    return code;
}

int mpi__Comm_create_from_group(struct mpi__group *group, const char *stringtag, struct mpi__info *info,
                                struct mpi__errhandler *errhandler, struct mpi__comm **newcomm)
{
    *newcomm = NULL;
    if (group->size == 0) return MPI_SUCCESS;
    if (group->rank == MPI_UNDEFINED) return mpi__fail(MPI_ERR_GROUP, "this process is not in argument 'group'");
    if (!stringtag) return mpi__fail(MPI_ERR_ARG, "argument 'stringtag' is NULL");
    int code = create_named(&mpi__world, group, ame__seam_hash(stringtag, strlen(stringtag)), newcomm);
    if (code) return code;
    if (info) (*newcomm)->info = mpi__info_copy(info);
    if (errhandler) mpi__errhandler_set(&(*newcomm)->errhandler, errhandler);
    return MPI_SUCCESS;
}

/* ---- intercommunicators -------------------------------------------------------------------------- */

/* What the leaders tell each other. */
struct side {
    uint64_t number;
    int leader, size; /* leader: rank in the world */
};

/* The leaders exchange `mine` and the members, through `peer` with `tag`. *members: to be freed. */
static int exchange(const struct mpi__group *group, struct mpi__comm *peer, int remote_leader, int tag,
                    const struct side *mine, struct side *theirs, int **members)
{
    int rank = remote_leader + peer->remote_base;
    int code = mpi__fail_ame(
        ame_sendrecv(mine, sizeof *mine, rank, tag, theirs, sizeof *theirs, rank, tag, peer->ame, AME_STATUS_IGNORE));
    if (code) return code;
    *members = malloc((size_t) theirs->size * sizeof **members);
    if (!*members) return mpi__no_memory();
    return mpi__fail_ame(ame_sendrecv(group->world, (size_t) group->size * sizeof *group->world, rank, tag, *members,
                                      (size_t) theirs->size * sizeof **members, rank, tag, peer->ame,
                                      AME_STATUS_IGNORE));
}

/* With `local` (the local group's communicator), once its leader has exchanged. */
static int finish(struct mpi__comm *local, int local_leader, const struct side *mine, struct side *theirs, int *members,
                  int code, struct mpi__comm **newcomm)
{
    struct {
        struct side side;
        int code;
    } told = {*theirs, code};
    int told_code = mpi__fail_ame(ame_bcast(&told, sizeof told, local_leader, local->ame));
    if (told_code || told.code) {
        free(members);
        return told_code ? told_code : code ? code : mpi__fail(told.code, "the leader could not reach the other group");
    }
    *theirs = told.side;
    if (!members) members = malloc((size_t) theirs->size * sizeof *members);
    struct mpi__group *remote = mpi__group_new(theirs->size);
    if (!members || !remote) {
        free(members);
        mpi__group_drop(remote);
        return mpi__no_memory();
    }
    code = mpi__fail_ame(ame_bcast(members, (size_t) theirs->size * sizeof *members, local_leader, local->ame));
    memcpy(remote->world, members, (size_t) theirs->size * sizeof *members);
    mpi__group_find(remote);
    free(members);
    bool first = mine->leader < theirs->leader;
    uint64_t both[2] = {first ? mine->number : theirs->number, first ? theirs->number : mine->number};
    if (!code && remote->rank != MPI_UNDEFINED) code = mpi__fail(MPI_ERR_COMM, "the two groups have ranks in common");
    if (!code) code = intercomm_new(ame__seam_hash(both, sizeof both), local->group, remote, first, newcomm);
    mpi__group_drop(remote);
    return code;
}

int mpi__Intercomm_create(struct mpi__comm *local, int local_leader, struct mpi__comm *peer, int remote_leader, int tag,
                          struct mpi__comm **newcomm)
{
    if (local->inter) return mpi__fail(MPI_ERR_COMM, "argument 'local_comm' is an intercommunicator");
    if (local_leader < 0 || local_leader >= local->size)
        return mpi__fail(MPI_ERR_RANK, "argument 'local_leader' is %d", local_leader);
    bool leads = local->rank == local_leader;
    if (leads && !peer) return mpi__fail(MPI_ERR_COMM, "argument 'peer_comm' is MPI_COMM_NULL at the leader");
    if (leads && (remote_leader < 0 || remote_leader >= mpi__comm_peers(peer)))
        return mpi__fail(MPI_ERR_RANK, "argument 'remote_leader' is %d", remote_leader);
    if (tag < 0) return mpi__fail(MPI_ERR_TAG, "argument 'tag' is %d", tag);
    struct side mine = {.number = ame__seam_child(local->ame, (uint64_t) (uint32_t) tag),
                        .leader = local->group->world[local_leader],
                        .size = local->size},
                theirs = {0};
    int *members = NULL;
    int code = leads ? exchange(local->group, peer, remote_leader, tag, &mine, &theirs, &members) : MPI_SUCCESS;
    code = finish(local, local_leader, &mine, &theirs, members, code, newcomm);
    if (!code) mpi__errhandler_set(&(*newcomm)->errhandler, local->errhandler);
    return code;
}

int mpi__Intercomm_create_from_groups(struct mpi__group *local_group, int local_leader, struct mpi__group *remote_group,
                                      int remote_leader, const char *stringtag, struct mpi__info *info,
                                      struct mpi__errhandler *errhandler, struct mpi__comm **newcomm)
{
    struct mpi__comm *local = NULL;
    if (local_leader < 0 || local_leader >= local_group->size)
        return mpi__fail(MPI_ERR_RANK, "argument 'local_leader' is %d", local_leader);
    bool leads = local_group->rank == local_leader;
    if (leads && (remote_leader < 0 || remote_leader >= remote_group->size))
        return mpi__fail(MPI_ERR_RANK, "argument 'remote_leader' is %d", remote_leader);
    int code = mpi__Comm_create_from_group(local_group, stringtag, info, NULL, &local);
    if (code || !local) return code;
    struct side mine = {.number = ame__seam_child(local->ame, 0),
                        .leader = local_group->world[local_leader],
                        .size = local_group->size},
                theirs = {0};
    int *members = NULL, tag = (int) (ame__seam_hash(stringtag, strlen(stringtag)) & 0x3fffffff);
    if (leads)
        code = exchange(local_group, &mpi__world, remote_group->world[remote_leader], tag, &mine, &theirs, &members);
    code = finish(local, local_leader, &mine, &theirs, members, code, newcomm);
    mpi__comm_drop(local);
    if (!code && errhandler) mpi__errhandler_set(&(*newcomm)->errhandler, errhandler);
    return code;
}

int mpi__Intercomm_merge(struct mpi__comm *comm, int high, struct mpi__comm **newcomm)
{
    if (!comm->inter) return mpi__fail(MPI_ERR_COMM, "argument 'intercomm' is an intracommunicator");
    int size = comm->size + comm->remote->size, mine = high != 0;
    int *all = malloc((size_t) size * sizeof *all);
    struct mpi__group *group = mpi__group_new(size);
    uint64_t lineage = ame__seam_child(comm->ame, UINT64_MAX - 1);
    int code = all && group ? MPI_SUCCESS : mpi__no_memory();
    if (!code) code = mpi__fail_ame(ame_allgather(&mine, sizeof mine, all, comm->ame));
    if (!code) {
        int theirs = all[comm->remote_base];
        bool first = mine == theirs ? comm->local_base == 0 : mine == 0;
        const struct mpi__group *low = first ? comm->group : comm->remote, *up = first ? comm->remote : comm->group;
        memcpy(group->world, low->world, (size_t) low->size * sizeof *low->world);
        memcpy(group->world + low->size, up->world, (size_t) up->size * sizeof *up->world);
        mpi__group_find(group);
        code = mpi__comm_new(lineage, group, newcomm);
    }
    if (!code) mpi__errhandler_set(&(*newcomm)->errhandler, comm->errhandler);
    mpi__group_drop(group);
    free(all);
    return code;
}

/* ---- the rest ------------------------------------------------------------------------------------ */

int mpi__Comm_size(struct mpi__comm *comm, int *size)
{
    *size = comm->size;
    return MPI_SUCCESS;
}

int mpi__Comm_rank(struct mpi__comm *comm, int *rank)
{
    *rank = comm->rank;
    return MPI_SUCCESS;
}

int mpi__Comm_compare(struct mpi__comm *comm1, struct mpi__comm *comm2, int *result)
{
    if (comm1 == comm2) {
        *result = MPI_IDENT;
    } else if (comm1->inter != comm2->inter) {
        *result = MPI_UNEQUAL;
    } else {
        int local = mpi__group_result(comm1->group, comm2->group);
        int remote = comm1->inter ? mpi__group_result(comm1->remote, comm2->remote) : MPI_IDENT;
        bool unequal = local == MPI_UNEQUAL || remote == MPI_UNEQUAL;
        bool same = local == MPI_IDENT && remote == MPI_IDENT;
        *result = unequal ? MPI_UNEQUAL : same ? MPI_CONGRUENT : MPI_SIMILAR;
    }
    return MPI_SUCCESS;
}

int mpi__Comm_free(struct mpi__comm *comm)
{
    if (comm->object.predefined) return mpi__fail(MPI_ERR_COMM, "%s cannot be freed", comm->name);
    int code = mpi__attributes_delete(MPI__COMM, comm->object.handle, &comm->attributes);
    if (code) return code;
    mpi__requests_sweep();
    mpi__comm_drop(comm);
    return MPI_SUCCESS;
}

int mpi__Comm_disconnect(struct mpi__comm *comm)
{
    return mpi__Comm_free(comm);
}

int mpi__Comm_test_inter(struct mpi__comm *comm, int *flag)
{
    *flag = comm->inter;
    return MPI_SUCCESS;
}

int mpi__Comm_remote_size(struct mpi__comm *comm, int *size)
{
    if (!comm->inter) return mpi__fail(MPI_ERR_COMM, "argument 'comm' is an intracommunicator");
    *size = comm->remote->size;
    return MPI_SUCCESS;
}

int mpi__Comm_remote_group(struct mpi__comm *comm, struct mpi__group **group)
{
    if (!comm->inter) return mpi__fail(MPI_ERR_COMM, "argument 'comm' is an intracommunicator");
    mpi__object_hold(&comm->remote->object);
    *group = comm->remote;
    return MPI_SUCCESS;
}

int mpi__Comm_group(struct mpi__comm *comm, struct mpi__group **group)
{
    mpi__object_hold(&comm->group->object);
    *group = comm->group;
    return MPI_SUCCESS;
}

int mpi__Comm_set_name(struct mpi__comm *comm, const char *name)
{
    if (!name) return mpi__fail(MPI_ERR_ARG, "argument 'comm_name' is NULL");
    snprintf(comm->name, sizeof comm->name, "%s", name);
    return MPI_SUCCESS;
}

int mpi__Comm_get_name(struct mpi__comm *comm, char *name, int *length)
{
    *length = snprintf(name, MPI_MAX_OBJECT_NAME, "%s", comm ? comm->name : "MPI_COMM_NULL");
    return MPI_SUCCESS;
}

int mpi__Comm_set_info(struct mpi__comm *comm, struct mpi__info *info)
{
    struct mpi__info *copy = known_hints(info);
    if (!copy) return mpi__no_memory();
    mpi__info_drop(comm->info);
    comm->info = copy;
    return MPI_SUCCESS;
}

int mpi__Comm_get_info(struct mpi__comm *comm, struct mpi__info **info)
{
    *info = mpi__info_copy(comm->info);
    return *info ? MPI_SUCCESS : mpi__no_memory();
}

int mpi__Comm_get_parent(struct mpi__comm **parent)
{
    *parent = NULL;
    return MPI_SUCCESS;
}
