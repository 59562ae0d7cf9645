struct raw { int pid; char comm[16]; struct raw *parent; long flags; };
typedef struct info { int pid; string name; char fname[16]; uint64_t fl; int ppid; } info_t;
inline int FLAG = 4;
translator info_t < struct raw *R > {
	pid = R->pid;
	name = R->comm;
	fname = R->comm;
	fl = R->flags & FLAG;
	ppid = R->parent->pid;
};
inline info_t *cur = xlate < info_t * > ((struct raw *)arg0);
BEGIN
{
	trace(cur->pid); trace(cur->name); trace(xlate < info_t > ((struct raw *)arg1).ppid); printf("%s", cur->fname);
	trace(xlate < info_t > ((struct raw *)copyin(arg0, 8)).fl);
}
