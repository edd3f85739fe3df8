module github.com/bonsainet/bonsai

go 1.24.0
