pid99:::entry { }
