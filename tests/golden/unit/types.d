typedef unsigned int u_t, *pu_t;
struct node;
struct node { struct node *next; u_t v; pu_t p; int (*fn)(struct node *, ...); char pad[sizeof(long) * 2]; };
enum color { RED, GREEN = 5, BLUE = GREEN << 1 };
typedef struct { int a, *b, c[2][3]; } anon_t;
extern int f(int, char *);
anon_t an;
struct node *list[string];
BEGIN
{
	n = (struct node *)arg0; trace(n->next->next->v); trace(n->pad[1]); trace(BLUE); trace(*n->p); an.c[1][2] = RED; trace(an.c[1][2]); trace(sizeof(an)); list[execname] = n->next;
}
