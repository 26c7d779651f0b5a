// SPDX-License-Identifier: AGPL-3.0-only

// Peers of bench-evidence-verify: google/go-tdx-guest and google/go-sev-guest. README.md says how it is called.
package main

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	snpabi "github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	spb "github.com/google/go-sev-guest/proto/sevsnp"
	snpverify "github.com/google/go-sev-guest/verify"
	"github.com/google/go-sev-guest/verify/trust"
	"github.com/google/go-tdx-guest/abi"
	"github.com/google/go-tdx-guest/pcs"
	"github.com/google/go-tdx-guest/verify"
)

const rounds, callsPerRound = 11, 50

// bundle is the collateral as it was published.
type bundle map[string]string

type answer struct {
	header map[string][]string
	body   []byte
}

// service answers as the vendor's would, from memory.
type service map[string]answer

func (s service) Get(address string) (map[string][]string, []byte, error) {
	for part, said := range s {
		if strings.Contains(address, part) {
			return said.header, said.body, nil
		}
	}
	return nil, nil, fmt.Errorf("not at hand: %s", address)
}

func (b bundle) chain(name, phrase string) map[string][]string {
	return map[string][]string{phrase: {url.QueryEscape(b[name])}}
}

func (b bundle) signed(name, member string) []byte {
	return []byte(fmt.Sprintf(`{"%s":%s,"signature":"%s"}`, member, b[name], b[name+"_signature"]))
}

func (b bundle) service() service {
	list, _ := hex.DecodeString(b["pck_crl"])
	root, _ := hex.DecodeString(b["root_ca_crl"])
	return service{
		"/tcb?":        {b.chain("tcb_info_issuer_chain", pcs.TcbInfoIssuerChainPhrase), b.signed("tcb_info", "tcbInfo")},
		"/qe/identity": {b.chain("qe_identity_issuer_chain", pcs.SgxQeIdentityIssuerChainPhrase), b.signed("qe_identity", "enclaveIdentity")},
		"/pckcrl":      {b.chain("pck_crl_issuer_chain", pcs.SgxPckCrlIssuerChainPhrase), list},
		"RootCA":       {nil, root},
	}
}

// root is the same that the library has built in; taken from here it does not log that on every call.
func (b bundle) root() *x509.CertPool {
	pool := x509.NewCertPool()
	_, rest := pem.Decode([]byte(b["tcb_info_issuer_chain"]))
	pool.AppendCertsFromPEM(rest)
	return pool
}

func tdx(quote, collateral []byte, at time.Time) (func() error, error) {
	var published bundle
	if err := json.Unmarshal(collateral, &published); err != nil {
		return nil, err
	}
	vendor, root := published.service(), published.root()
	return func() error {
		parsed, err := abi.QuoteToProto(quote)
		if err != nil {
			return err
		}
		return verify.TdxQuote(parsed, &verify.Options{CheckRevocations: true, GetCollateral: true, Getter: vendor,
			TrustedRoots: root,
			Now:          &verify.TimeSet{PckCertChain: at, TcbInfo: at, QeIdentity: at, PckCrl: at, RootCaCrl: at}})
	}, nil
}

// caOf gives the ASK and the ARK that the library has built in; it wants to be given them all the same.
func caOf(line string) (ask, ark []byte) {
	text := map[string][]byte{"Milan": trust.AskArkMilanVcekBytes, "Genoa": trust.AskArkGenoaVcekBytes,
		"Turin": trust.AskArkTurinVcekBytes}[line]
	first, rest := pem.Decode(text)
	second, _ := pem.Decode(rest)
	return first.Bytes, second.Bytes
}

func snp(report, vcek []byte, at time.Time) (func() error, error) {
	certificate, err := x509.ParseCertificate(vcek)
	if err != nil {
		return nil, err
	}
	line := strings.TrimPrefix(certificate.Issuer.CommonName, "SEV-")
	product, err := kds.ParseProductLine(line)
	if err != nil {
		return nil, err
	}
	ask, ark := caOf(line)
	return func() error {
		parsed, err := snpabi.ReportToProto(report)
		if err != nil {
			return err
		}
		attestation := &spb.Attestation{Report: parsed, CertificateChain: &spb.CertificateChain{
			VcekCert: vcek, AskCert: ask, ArkCert: ark}}
		return snpverify.SnpAttestation(attestation,
			&snpverify.Options{DisableCertFetching: true, Now: at, Product: product})
	}, nil
}

// cpuMicroseconds is the whole process's: what the collector does in its threads is part of the price.
func cpuMicroseconds() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e3
}

func median(work func() error) (float64, error) {
	if err := work(); err != nil {
		return 0, err
	}
	var all []float64
	for i := 0; i < rounds; i++ {
		began := cpuMicroseconds()
		for j := 0; j < callsPerRound; j++ {
			if err := work(); err != nil {
				return 0, err
			}
		}
		all = append(all, (cpuMicroseconds()-began)/callsPerRound)
	}
	sort.Float64s(all)
	return all[rounds/2], nil
}

func measure(arguments []string) (float64, error) {
	if len(arguments) != 4 {
		return 0, errors.New("usage: EVIDENCE COLLATERAL TIME")
	}
	evidence, err := os.ReadFile(arguments[1])
	if err != nil {
		return 0, err
	}
	collateral, err := os.ReadFile(arguments[2])
	if err != nil {
		return 0, err
	}
	seconds, err := strconv.ParseInt(arguments[3], 10, 64)
	if err != nil {
		return 0, err
	}
	prepare := tdx
	if !strings.HasSuffix(arguments[2], ".json") {
		prepare = snp
	}
	work, err := prepare(evidence, collateral, time.Unix(seconds, 0))
	if err != nil {
		return 0, err
	}
	return median(work)
}

func main() {
	cold, err := measure(os.Args)
	if err != nil {
		fmt.Println("refused", strings.Split(err.Error(), "\n")[0])
		return
	}
	fmt.Printf("cold %.1f\n", cold)
}
