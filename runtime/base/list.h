/* list.h - intrusive doubly linked list: a ring through a head, so that no operation has a special case.
 *
 * An unlinked node points to itself; ame__list_remove may be called on it and does nothing. */
#ifndef AME_BASE_LIST_H
#define AME_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct ame__list {
    struct ame__list *next, *prev;
};

#define ame__container_of(pointer, type, member) ((type *) (void *) ((char *) (pointer) -offsetof(type, member)))
#define ame__list_for_each(node, head)                                                                                 \
    for (struct ame__list *node = (head)->next, *node##_next = node->next; node != (head);                             \
         node = node##_next, node##_next = node->next)

static inline void ame__list_init(struct ame__list *head)
{
    head->next = head->prev = head;
}
static inline bool ame__list_empty(const struct ame__list *head)
{
    return head->next == head;
}
static inline void ame__list_append(struct ame__list *head, struct ame__list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}
static inline void ame__list_remove(struct ame__list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    ame__list_init(node);
}
static inline struct ame__list *ame__list_first(const struct ame__list *head)
{
    return head->next == head ? NULL : head->next;
}
static inline struct ame__list *ame__list_take(struct ame__list *head)
{
    struct ame__list *node = ame__list_first(head);
    if (node) ame__list_remove(node);
    return node;
}

#endif
