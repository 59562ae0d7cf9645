BEGIN
{
	x = pid;
	if (x > 1) { trace(1); trace(2); } else if (x) trace(3); else { trace(4); }
	if (x) { if (!x) { trace(5); } }
	if (x) ; else trace(6);
	trace(7);
}
