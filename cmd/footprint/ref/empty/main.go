// Command empty is what every Go program pays: the reports subtract it.
package main

func main() {}
