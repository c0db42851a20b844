// SPDX-License-Identifier: GPL-2.0-or-later

// CoreDNS with the few plugins that a mesh host's Corefile needs.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/template"
)

// The order in which plugins see a query; a Corefile cannot change it.
func main() {
	dnsserver.Directives = []string{
		"bind", "prometheus", "errors", "log", "template", "hosts", "forward",
	}
	coremain.Run()
}
