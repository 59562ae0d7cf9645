pid$target:/no/file:main:entry { }
