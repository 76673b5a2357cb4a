/* type_basic.c - the table of predefined datatypes, filled by the compiler from the lists in type_basic.h. */
#include "mpi/type_basic.h"

#include <string.h>

#define LAYOUT_OF_BASIC(name, type, kind, external32)                                                                  \
    struct layout_##name {                                                                                             \
        char before;                                                                                                   \
        type value;                                                                                                    \
    };
#define LAYOUT_OF_PAIR(name, value_type, index_type, value_name, index_name)                                           \
    struct pair_##name {                                                                                               \
        value_type value;                                                                                              \
        index_type index;                                                                                              \
    };                                                                                                                 \
    struct layout_##name {                                                                                             \
        char before;                                                                                                   \
        struct pair_##name value;                                                                                      \
    };
AME__BASICS(LAYOUT_OF_BASIC)
AME__PAIRS(LAYOUT_OF_PAIR)

#define BASIC(name_, type, kind_, external32_)                                                                         \
    [AME__BASIC_##name_] = {.name = "MPI_" #name_,                                                                     \
                            .id = AME__BASIC_##name_,                                                                  \
                            .kind = AME__KIND_##kind_,                                                                 \
                            .size = sizeof(type),                                                                      \
                            .extent = sizeof(type),                                                                    \
                            .alignment = offsetof(struct layout_##name_, value),                                       \
                            .external32 = external32_},
#define PAIR(name_, value_type, index_type, value_name, index_name)                                                    \
    [AME__BASIC_##name_] = {.name = "MPI_" #name_,                                                                     \
                            .id = AME__BASIC_##name_,                                                                  \
                            .kind = AME__KIND_PAIR,                                                                    \
                            .size = sizeof(value_type) + sizeof(index_type),                                           \
                            .extent = sizeof(struct pair_##name_),                                                     \
                            .alignment = offsetof(struct layout_##name_, value),                                       \
                            .external32 = 0,                                                                           \
                            .value = &ame__basics[AME__BASIC_##value_name],                                            \
                            .index = &ame__basics[AME__BASIC_##index_name],                                            \
                            .index_at = offsetof(struct pair_##name_, index)},
#define MARKER(name_, bound)                                                                                           \
    [AME__BASIC_##name_] = {.name = "MPI_" #name_, .id = AME__BASIC_##name_, .kind = AME__KIND_MARKER, .alignment = 1},

const struct ame__basic ame__basics[AME__BASIC_END] = {AME__BASICS(BASIC) AME__PAIRS(PAIR) AME__MARKERS(MARKER)};

const struct ame__basic *ame__basic_named(const char *name)
{
    static const struct {
        const char *name;
        enum ame__basic_id id;
    } also[] = {{"MPI_LONG_LONG_INT", AME__BASIC_LONG_LONG},
                {"MPI_C_COMPLEX", AME__BASIC_C_FLOAT_COMPLEX},
                {"MPIX_C_FLOAT16", AME__BASIC_C_FLOAT16},
                {"MPIX_BFLOAT16", AME__BASIC_BFLOAT16}};
    for (int id = AME__BASIC_NONE + 1; id < AME__BASIC_END; id++)
        if (!strcmp(ame__basics[id].name, name)) return &ame__basics[id];
    for (size_t i = 0; i < sizeof also / sizeof *also; i++)
        if (!strcmp(also[i].name, name)) return &ame__basics[also[i].id];
    return NULL;
}
