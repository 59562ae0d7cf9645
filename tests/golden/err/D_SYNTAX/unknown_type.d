foo_t x;
BEGIN { }
