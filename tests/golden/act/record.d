syscall::read:entry
{
	trace(arg0); trace(execname); trace("x"); tracemem(arg1, 16); tracemem(arg1, 64, arg2); stack(); stack(5); ustack(); ustack(10, 0);
	sym(arg0); func(arg0); mod(arg0); usym(arg0); ufunc(arg0); umod(arg0); uaddr(arg0); exit(1);
}
