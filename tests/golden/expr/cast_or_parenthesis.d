typedef int num;
BEGIN
{
	x = 5; a = (x) + 1; b = (num) + 1; c = (x) * x; d = (num) * (int *)arg0; e = (x)-1; f = (num)x; h = (num *)arg0;
	i = sizeof (x); j = sizeof (num); k = sizeof x; l = (uint64_t)x;
}
