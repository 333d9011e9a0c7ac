// SPDX-License-Identifier: Apache-2.0

// Command cluster is the real control plane that the tests run against, etcd and kube-apiserver, and
// an elector of client-go, in one binary, chosen by the first argument, so that a test machine needs
// neither a container runtime nor a prebuilt Kubernetes.
package main

import (
	"fmt"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: cluster etcd|kube-apiserver|elector [flags]")
		os.Exit(2)
	}
	program := os.Args[1]
	os.Args = append([]string{program}, os.Args[2:]...)
	switch program {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(app.NewAPIServerCommand()))
	case "elector":
		if err := elector(); err != nil {
			fmt.Fprintln(os.Stderr, "elector:", err)
			os.Exit(1)
		}
	default:
		fmt.Fprintf(os.Stderr, "cluster: unknown program %q, expected etcd, kube-apiserver or elector\n", program)
		os.Exit(2)
	}
}
