BEGIN
{
	a = alloca(16); b = (char *)copyin(arg0, 16); copyinto(arg0, 8, a); bcopy(b, a, arg1);
	c = htons(1) + htonl(1) + htonll(1) + ntohs(1) + ntohl(1) + ntohll(1);
	d = getmajor(0x800001); e = getminor(0x800001); f = rand(); g = progenyof(pid);
	h = inet_ntoa((uint32_t *)a); i = inet_ntoa6(b); j = inet_ntop(arg2, b); k = link_ntop(1, b);
}
