// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// elector takes part in a leader election with client-go's own elector: leads for --hold, gives the
// lock back, waits until somebody else has led, and so on, --turns times. It prints
// `leading NANOSECONDS` and `stopped NANOSECONDS`, the wall clock's time, the latter before the lock
// is given back.
func elector() error {
	flags := flag.NewFlagSet("elector", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "kubeconfig file")
	namespace := flags.String("namespace", "default", "namespace of the Lease")
	name := flags.String("name", "contour", "name of the Lease")
	identity := flags.String("identity", "client-go", "who we are")
	hold := flags.Duration("hold", 300*time.Millisecond, "how long to lead")
	turns := flags.Int("turns", 1, "how often to lead")
	lease := flags.Duration("lease-duration", 15*time.Second, "")
	renew := flags.Duration("renew-deadline", 10*time.Second, "")
	retry := flags.Duration("retry-period", 2*time.Second, "")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	transitions := func() int32 {
		current, err := client.CoordinationV1().Leases(*namespace).Get(ctx, *name, metav1.GetOptions{})
		if err != nil || current.Spec.LeaseTransitions == nil {
			return -1
		}
		return *current.Spec.LeaseTransitions
	}
	for turn := 0; turn < *turns && ctx.Err() == nil; turn++ {
		lock := &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: *namespace, Name: *name},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: *identity},
		}
		before := int32(-1)
		lead, end := context.WithCancel(ctx)
		leaderelection.RunOrDie(lead, leaderelection.LeaderElectionConfig{
			Lock: lock, LeaseDuration: *lease, RenewDeadline: *renew, RetryPeriod: *retry, ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(leading context.Context) {
					fmt.Printf("leading %d\n", time.Now().UnixNano())
					before = transitions()
					select {
					case <-time.After(*hold):
					case <-leading.Done():
					}
					fmt.Printf("stopped %d\n", time.Now().UnixNano())
					end()
				},
				OnStoppedLeading: func() {},
			},
		})
		end()
		// The holder changes: the other leads, or has led.
		for ctx.Err() == nil && turn+1 < *turns && transitions() <= before {
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}
