BEGIN
{
	trace(1 + 2 * 3); trace((uint8_t)257); trace((int8_t)255); trace(-1 / 2U); trace(-7 / 2); trace(-7 % 3);
	trace(1 << 33); trace(1LL << 33); trace(0x80000000 >> 4); trace(-1 >> 1); trace(1 ? 2 : 3L); trace(1 && 0 || 1);
	trace(2 ^^ 0); trace(~0U); trace(!5); trace((_Bool)7); trace(-1 < 1U); trace(sizeof(long) - 9 > 0);
}
