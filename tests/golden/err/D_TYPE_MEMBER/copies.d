/* wrong in every copy: said once */ proc:::create, proc:::start, sched:::off-cpu { trace(curthread->nothing); }
