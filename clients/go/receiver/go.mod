module github.com/hookpost/hookpost/clients/go/receiver

go 1.24
