BEGIN
{
	s = copyinstr(arg0, 8); a = substr(s, 1); b = substr(s, -2, 1); c = index(s, "x"); d = rindex(s, a, 3);
	e = strchr(s, 'x'); f = strrchr(s, 0x78); g = strstr(s, a); h = strtok(s, ","); i = strtok(NULL, ",");
	j = lltostr(c); k = lltostr(c, 16); l = strtoll(s); m = strtoll(s, 8); n = tolower(s); o = toupper(s);
	p = strjoin(s, "x"); q = strlen(s); r = json(s, "a[1].b"); t = e == NULL;
	u = basename(s); v = dirname(s); w = cleanpath(s);
}
