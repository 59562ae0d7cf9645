enum color { RED, GREEN = 5, BLUE };
BEGIN
{
	a = (int)arg0; b = (uint8_t)arg0; c = (int *)arg0; d = (uintptr_t)c; e = (int *)0; f = (long)(char)arg1;
	h = (int (*)(int, char *))arg0; i = (unsigned long long)b; j = (enum color)1; k = (int **)c; (void)a;
}
