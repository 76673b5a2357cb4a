/* mpilib.h - what ranks are told so that they find AME's MPI libraries. */
#ifndef AME_LAUNCHER_MPILIB_H
#define AME_LAUNCHER_MPILIB_H

#include <stddef.h>

/* Adds it to the list of ame__environ_set. */
void ame__mpi_environ(char ***env, size_t *room);

#endif
