/* mapping.h - ameexec --map: a command for each line of input is a job of the program ame-map, which does it. */
#ifndef AME_LAUNCHER_MAPPING_H
#define AME_LAUNCHER_MAPPING_H

struct ame__options;

/* Makes options->apps[0] out of options->mapping, and opens the file that is read in place of standard input. */
int ame__mapping_prepare(struct ame__options *options);

#endif
