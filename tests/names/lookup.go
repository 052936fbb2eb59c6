// What a program of Go, which brings its own resolver, makes of a name: one address per line. The oracle of tests/names.rs.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	end, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(end, "ip", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	for _, address := range addresses {
		fmt.Println(address.Unmap())
	}
}
