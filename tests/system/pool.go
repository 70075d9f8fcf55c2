// SPDX-License-Identifier: Apache-2.0
// Copyright (C) 2026 The certfs authors

// pool DIRECTORY: goroutines that open cert.pem and privkey.pem of DIRECTORY, one after the
// other and as fast as they can, and ask crypto/tls whether they belong together. Go's
// runtime moves them between threads as it likes. Prints a line once each of them has read
// a pair, and when standard input ends a line of JSON: pairs read, those that were mixed,
// failed calls, and the first failure.
package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

const readers = 16

type tally struct {
	Pairs  uint64 `json:"pairs"`
	Mixed  uint64 `json:"mixed"`
	Failed uint64 `json:"failed"`
	First  string `json:"first"`
	lock   sync.Mutex
}

func (t *tally) fail(why error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.Failed++
	if t.First == "" {
		t.First = why.Error()
	}
}

func (t *tally) readPair(directory string) {
	cert, err := os.ReadFile(filepath.Join(directory, "cert.pem"))
	if err != nil {
		t.fail(err)
		return
	}
	key, err := os.ReadFile(filepath.Join(directory, "privkey.pem"))
	if err != nil {
		t.fail(err)
		return
	}
	_, err = tls.X509KeyPair(cert, key)
	if err != nil && strings.Contains(err.Error(), "does not match") {
		atomic.AddUint64(&t.Mixed, 1)
	} else if err != nil {
		t.fail(err)
	}
	atomic.AddUint64(&t.Pairs, 1)
}

func main() {
	var t tally
	var end int32
	var begun, through sync.WaitGroup
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: pool DIRECTORY")
		os.Exit(64)
	}
	for i := 0; i < readers; i++ {
		begun.Add(1)
		through.Add(1)
		go func() {
			t.readPair(os.Args[1])
			begun.Done()
			for atomic.LoadInt32(&end) == 0 {
				t.readPair(os.Args[1])
			}
			through.Done()
		}()
	}
	begun.Wait()
	fmt.Println("reading")
	io.Copy(io.Discard, os.Stdin)
	atomic.StoreInt32(&end, 1)
	through.Wait()
	out, _ := json.Marshal(&t)
	fmt.Println(string(out))
}
