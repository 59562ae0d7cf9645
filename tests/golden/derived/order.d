/* One event: the one that leaves first, whatever the order of the program. */
sched:::on-cpu { self->x = 1; trace(pid); }
sched:::off-cpu { self->x = 2; }
