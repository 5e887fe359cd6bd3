/* C with the idioms of kernels; a test finds a line by the comment at its end. */
typedef struct { int counter; } atomic_t;
typedef unsigned long u64;
struct list_head;

struct mm_context {
    u64 ctx_id;
    u64 lam_cr3_mask;
    atomic_t pinned;
};

struct mm_struct {
    struct {
        atomic_t mm_count;
        u64 *pgd;
    };
    union {
        u64 flags;
        unsigned char bytes[8];
    };
    volatile struct mm_context context;
    unsigned int lazy : 1;
    unsigned int state : 7;
    unsigned int rest : 12;
    const u64 grid[2][3];
    struct list_head *next;
};

typedef struct { u64 first, second; } pair_t;

struct mm_struct init_mm = { .lazy = 1 };
static pair_t pairs[3] = { { 1, 2 } };
struct list_head { struct list_head *next, *prev; } list = { &list, &list };
struct trailer { u64 length; u64 tail[]; } trailer = { 2, { 1, 2 } };

__attribute__((noinline)) static u64 count(void)
{
    static u64 calls;
    __asm__ volatile(".globl in_count\nin_count: nop"); /* line: in count */
    return ++calls;
}

static inline __attribute__((always_inline)) void inlined(u64 n)
{
    __asm__ volatile(".globl in_inlined\nin_inlined: nop" : : "r"(n)); /* line: in inlined */
}

__asm__(".pushsection .text\nbare_label: nop\nnop\n.popsection");

void entry(void)
{
    inlined(pairs[count() % 3].second); /* line: entry calls inlined */
    for (;;)
        __asm__ volatile("" : : "r"(&init_mm), "r"(&list), "r"(&trailer));
}
