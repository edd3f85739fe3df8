package main

func main() {
	// This does not compile.
	nothing()
}
