/* two probes of one tracepoint: a program each */
rawtp:::bare_tp, sdt:::bare_tp
{
	trace(stringof(args[1]));
	trace(args[0]);
}
