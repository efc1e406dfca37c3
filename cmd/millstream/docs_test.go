package main

import "flag"

var update = flag.Bool("update", false, "write generated files and the expectations of scripts")
