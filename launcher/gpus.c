/* gpus.c - see gpus.h.
 *
 * The list of a host is what the launcher there has inherited as CUDA_VISIBLE_DEVICES (Slurm sets it on each host for
 * itself), or what -x gives, which then holds for all hosts; without one, all devices that there are. Its names are handed
 * on as they are: numbers, UUIDs, MIG instances. A rank's part is chosen before it starts, so every program obeys it,
 * whatever it knows of launchers; and its ordinals begin with 0.
 *
 * OMPI_COMM_WORLD_LOCAL_RANK and MV2_COMM_WORLD_LOCAL_RANK are what some programs look for when they choose a device.
 */
#include "gpus.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "environ.h"

enum { NAMES_MAX = 256 };

char *ame__gpus_part(const char *list, int i, int count)
{
    const char *names[NAMES_MAX];
    size_t lengths[NAMES_MAX];
    int found = 0;
    /* What the driver does not take for a device ends the list: -1, NoDevFiles, nothing. */
    for (const char *at = list; found < NAMES_MAX; at += lengths[found++] + 1) {
        size_t length = strcspn(at, ",");
        if (length == 0 || *at == '-' || !strncmp(at, "NoDev", 5)) break;
        names[found] = at;
        lengths[found] = length;
        if (!at[length]) {
            found++;
            break;
        }
    }
    if (found == 0) return NULL;
    char *part = ame__xalloc(strlen(list) + 1);
    if (count > found) count = found;
    for (int k = 0; k < count; k++) {
        int name = (int) (((long) i * count + k) % found);
        if (k) strcat(part, ",");
        strncat(part, names[name], lengths[name]);
    }
    return part;
}

/* "0,1,2" for the devices of this host, as its device files tell; "" if there are none. malloc'ed. */
static char *all_devices(void)
{
    char *list = ame__xstrdup("");
    int count = 0;
    DIR *folder = opendir("/dev");
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (strncmp(entry->d_name, "nvidia", 6) || !entry->d_name[6] ||
            strspn(entry->d_name + 6, "0123456789") != strlen(entry->d_name + 6))
            continue;
        char *longer = ame__xprintf("%s%s%d", list, count ? "," : "", count);
        free(list);
        list = longer;
        count++;
    }
    if (folder) closedir(folder);
    return list;
}

void ame__gpus_set(const struct ame__work *work, int i, char ***env, size_t *room)
{
    static const char name[] = "CUDA_VISIBLE_DEVICES";
    char number[24];
    if (!work->gpus_per_rank) return;
    const char *here = getenv(name), *handed = ame__environ_get(*env, name);
    const char *list = handed && (work->gpus_named || !here) ? handed : here;
    char *all = list ? NULL : all_devices();
    char *part = ame__gpus_part(list ? list : all, i, work->gpus_per_rank);
    if (part) ame__environ_set(env, room, name, part);
    free(part);
    free(all);
    snprintf(number, sizeof number, "%d", i);
    ame__environ_set(env, room, "OMPI_COMM_WORLD_LOCAL_RANK", number);
    ame__environ_set(env, room, "MV2_COMM_WORLD_LOCAL_RANK", number);
}
