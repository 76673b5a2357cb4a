/* hosts.h - the hosts of a job and which rank runs on which: pure, no I/O. */
#ifndef AME_LAUNCHER_HOSTS_H
#define AME_LAUNCHER_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#define AME__HOSTS_MAX 65536
#define AME__SLOTS_MAX 65536

struct ame__host {
    char *name, *user; /* user: NULL when not given */
    int slots;
    bool here; /* this host */
};
struct ame__hosts {
    struct ame__host *items;
    size_t count;
    size_t *index; /* hash table of positions, plus 1; 0: free */
    size_t index_size;
};

enum ame__map { AME__MAP_SLOT, AME__MAP_NODE };

/* Adds `slots` on the host; a host that is there already gets more slots. */
int ame__hosts_add(struct ame__hosts *hosts, const char *name, size_t length, int slots);
/* "a,b:4,user@c:2,[fe80::1]:2" */
int ame__hosts_add_list(struct ame__hosts *hosts, const char *list);
/* One line of a host file, MPICH's "host:N" or Open MPI's "host slots=N max_slots=M"; '#' begins a comment. */
int ame__hosts_add_line(struct ame__hosts *hosts, const char *line);
/* Slurm's list of nodes, "h1[01-03,7],x[1-2]y[3-4]", with the slots of each as "2(x3),1"; NULL: 1 each. */
int ame__hosts_add_nodelist(struct ame__hosts *hosts, const char *list, const char *counts);
/* LSF's "h1 4 h2 2". */
int ame__hosts_add_pairs(struct ame__hosts *hosts, const char *text);
void ame__hosts_finish(struct ame__hosts *hosts);

/* Sum of all slots; where `per_host` is not 0, that many on each. */
int ame__hosts_slots(const struct ame__hosts *hosts, int per_host);
/* host_of[rank] for `size` ranks. More ranks than slots begin again with the first host. */
void ame__hosts_map(const struct ame__hosts *hosts, enum ame__map map, int per_host, int size, int *host_of);
/* PMI_process_mapping: blocks of (first host, number of hosts, ranks on each), repeated until all ranks have a place.
 * False when it is longer than `room`. */
bool ame__hosts_mapping(const int *host_of, int size, char *text, size_t room);

#endif
