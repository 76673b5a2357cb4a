/* frame.c - the bytes of frame.h */
#include "replica/frame.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC 0x31616c6c69706552ull /* "Repilla1": nothing else that travels begins so */

void ame__write(struct ame__writer *writer, const void *bytes, size_t length)
{
    if (writer->failed || length == 0) return;
    if (writer->room - writer->length < length) {
        size_t room = 2 * (writer->length + length) + 256;
        unsigned char *data = realloc(writer->data, room);
        if (!data) {
            writer->failed = true;
            return;
        }
        writer->data = data;
        writer->room = room;
    }
    memcpy(writer->data + writer->length, bytes, length);
    writer->length += length;
}

void ame__write_number(struct ame__writer *writer, uint64_t number)
{
    ame__write(writer, &number, sizeof number);
}

const void *ame__read(struct ame__reader *reader, size_t length)
{
    if (reader->failed || reader->left < length) {
        reader->failed = true;
        return NULL;
    }
    const unsigned char *bytes = reader->next;
    reader->next += length;
    reader->left -= length;
    return bytes;
}

uint64_t ame__read_number(struct ame__reader *reader)
{
    uint64_t number = 0;
    const void *bytes = ame__read(reader, sizeof number);
    if (bytes) memcpy(&number, bytes, sizeof number);
    return number;
}

void ame__write_head(struct ame__writer *writer, uint64_t replicas)
{
    ame__write_number(writer, MAGIC);
    ame__write_number(writer, replicas);
}

uint64_t ame__read_head(struct ame__reader *reader, uint64_t most)
{
    uint64_t magic = ame__read_number(reader), replicas = ame__read_number(reader);
    if (magic != MAGIC || replicas > most) reader->failed = true;
    return reader->failed ? 0 : replicas;
}

void ame__write_task_part(struct ame__writer *writer, const struct ame__task_part *part)
{
    const uint64_t numbers[] = {part->id, part->from, part->step, part->runs, part->flags};
    ame__write(writer, numbers, sizeof numbers);
}

struct ame__task_part ame__read_task_part(struct ame__reader *reader)
{
    struct ame__task_part part;
    part.id = ame__read_number(reader);
    part.from = ame__read_number(reader);
    part.step = ame__read_number(reader);
    part.runs = ame__read_number(reader);
    part.flags = ame__read_number(reader);
    return part;
}

void ame__write_reply_part(struct ame__writer *writer, const struct ame__reply_part *part)
{
    const uint64_t numbers[] = {part->id, part->serial, part->status, part->flags};
    ame__write(writer, numbers, sizeof numbers);
}

struct ame__reply_part ame__read_reply_part(struct ame__reader *reader)
{
    struct ame__reply_part part;
    part.id = ame__read_number(reader);
    part.serial = ame__read_number(reader);
    part.status = ame__read_number(reader);
    part.flags = ame__read_number(reader);
    return part;
}
