/* What bench compile compiles: a small program with the headers that such programs have. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct entry {
    struct entry *next;
    uint64_t hash;
    char name[32];
};

static struct entry *table[256];

static uint64_t hash_of(const char *name)
{
    uint64_t hash = 14695981039346656037u;
    while (*name)
        hash = (hash ^ (unsigned char)*name++) * 1099511628211u;
    return hash;
}

static struct entry *find(const char *name, int add)
{
    uint64_t hash = hash_of(name);
    struct entry *entry;
    for (entry = table[hash % 256]; entry; entry = entry->next)
        if (entry->hash == hash && !strcmp(entry->name, name))
            return entry;
    if (!add || !(entry = calloc(1, sizeof *entry)))
        return NULL;
    entry->hash = hash;
    snprintf(entry->name, sizeof entry->name, "%s", name);
    entry->next = table[hash % 256];
    return table[hash % 256] = entry;
}

static int compare(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return a < b ? -1 : a > b;
}

int main(int count, char **names)
{
    uint64_t hashes[64];
    size_t used = 0;
    for (int index = 1; index < count; index++) {
        struct entry *entry = find(names[index], 1);
        if (!entry) {
            fprintf(stderr, "%s: %s\n", names[index], strerror(errno));
            return EXIT_FAILURE;
        }
        if (used < sizeof hashes / sizeof *hashes)
            hashes[used++] = entry->hash;
    }
    qsort(hashes, used, sizeof *hashes, compare);
    for (size_t index = 0; index < used; index++)
        printf("%llx\n", (unsigned long long)hashes[index]);
    return EXIT_SUCCESS;
}
