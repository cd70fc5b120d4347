package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// spectral lints contracts with a set of rules, and returns which rules each broke.
func spectral(t *testing.T, rules string, contracts ...string) map[string][]string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "node", append([]string{"lint/node_modules/@stoplight/spectral-cli/dist/index.js", "lint", "--format=json", "--quiet", "--ruleset", rules}, contracts...)...)
	var errs strings.Builder
	c.Stderr = &errs
	out, _ := c.Output() // it fails where a rule is broken
	var found []struct{ Code, Message, Source string }
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatalf("%v: %s%s", err, out, errs.String())
	}
	broke := map[string][]string{}
	for _, f := range found {
		broke[filepath.Base(f.Source)] = append(broke[filepath.Base(f.Source)], f.Code+": "+f.Message)
	}
	return broke
}

// TestSpectral lints the contract, as it is served, with Spectral's own rules for OpenAPI, and
// with the official rules of the Dutch API Design Rules where they could be fetched.
func TestSpectral(t *testing.T) {
	if _, err := os.Stat("lint/node_modules/@stoplight/spectral-cli"); err != nil {
		if os.Getenv("SCHAKEL_TEST_NEED_SPECTRAL") != "" {
			t.Fatal("there is no Spectral: run .ci/lint")
		}
		t.Skip("there is no Spectral here: .ci/lint fetches it")
	}
	raw := open(t).worker().want(http.StatusOK, http.MethodGet, "/v1/openapi.json", nil).body
	dir := t.TempDir()
	served, crooked := filepath.Join(dir, "served.json"), filepath.Join(dir, "crooked.json")
	ok(t, os.WriteFile(served, raw, 0o600))
	ok(t, os.WriteFile(crooked, []byte(strings.Replace(string(raw), `"/alarm-clearances"`, `"/Alarm_Clearances/"`, 1)), 0o600))
	for name, rules := range map[string]string{"OpenAPI": "lint/contract.yaml", "Dutch API Design Rules": "lint/adr.yaml"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat(rules); err != nil {
				t.Skip("the rules of Logius could not be fetched: TestDesignRules holds ours against the contract")
			}
			broke := spectral(t, rules, served, crooked)
			for _, b := range broke["served.json"] {
				t.Error(b)
			}
			if !strings.Contains(strings.Join(broke["crooked.json"], " "), "slash") {
				t.Errorf("control: a crooked contract broke %v", broke["crooked.json"])
			}
		})
	}
}

// broken names what of the Dutch API Design Rules a contract does not keep to, of what can
// be read in it.
func broken(doc map[string]any) (wrong []string) {
	say := func(where, what string) { wrong = append(wrong, where+": "+what) }
	if v, _ := doc["openapi"].(string); !strings.HasPrefix(v, "3.1") {
		say("openapi", "not 3.1")
	}
	info, _ := doc["info"].(map[string]any)
	contact, _ := info["contact"].(map[string]any)
	if contact["name"] == nil || contact["email"] == nil || contact["url"] == nil {
		say("/core/doc-openapi-contact", "no contact")
	}
	if v, _ := info["version"].(string); !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(v) {
		say("/core/semver", v)
	}
	for _, s := range doc["servers"].([]any) {
		if url, _ := s.(map[string]any)["url"].(string); !regexp.MustCompile(`/v\d+$`).MatchString(url) {
			say("/core/uri-version", url)
		}
	}
	kebab, camel := regexp.MustCompile(`^(/([a-z0-9.-]+|\{[a-z]+\}))+$`), regexp.MustCompile(`^[a-z]+([A-Z][a-z]*)*$`)
	for path, methods := range doc["paths"].(map[string]any) {
		if !kebab.MatchString(path) {
			say("/core/path-segments-kebab-case, /core/no-trailing-slash", path)
		}
		for method, op := range methods.(map[string]any) {
			if !slices.Contains([]string{"get", "post", "put", "delete", "patch"}, method) {
				say("/core/http-methods", method)
			}
			params, _ := op.(map[string]any)["parameters"].([]any)
			for _, p := range params {
				if p := resolve(doc, p); p["in"] == "query" && !camel.MatchString(p["name"].(string)) {
					say("/core/query-keys-camel-case", p["name"].(string))
				}
			}
			wrong = append(wrong, answers(doc, path, method, op.(map[string]any))...)
		}
	}
	return wrong
}

// answers looks at what an operation answers with.
func answers(doc map[string]any, path, method string, op map[string]any) (wrong []string) {
	responses := op["responses"].(map[string]any)
	if _, ok := responses["400"]; !ok && (op["parameters"] != nil || method != "get") {
		wrong = append(wrong, "/core/error-handling/invalid-input: "+method+" "+path)
	}
	for status, r := range responses {
		r := resolve(doc, r)
		headers, _ := r["headers"].(map[string]any)
		if _, ok := headers["API-Version"]; !ok {
			wrong = append(wrong, "/core/version-header: "+path+" "+status)
		}
		content, _ := r["content"].(map[string]any)
		if _, ok := content["application/problem+json"]; status >= "400" && !ok {
			wrong = append(wrong, "/core/error-handling/problem-details: "+path+" "+status)
		}
	}
	return wrong
}

func resolve(doc map[string]any, v any) map[string]any {
	o := v.(map[string]any)
	ref, is := o["$ref"].(string)
	if !is {
		return o
	}
	var at any = doc
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[part]
	}
	return at.(map[string]any)
}

// TestDesignRules holds the contract against the Dutch API Design Rules, also where the
// official rules cannot be fetched.
func TestDesignRules(t *testing.T) {
	for _, w := range broken(openapi) {
		t.Error(w)
	}
	for name, c := range map[string][2]string{
		"a trailing slash": {`"/alarms"`, `"/alarms/"`}, "a capital": {`"/alarms"`, `"/Alarms"`}, "a query key": {`"name": "toAcknowledge"`, `"name": "to-acknowledge"`},
		"no version": {`"url": "/v1"`, `"url": "/"`}, "no contact": {`"email"`, `"mail"`}, "an odd version": {`"version": "1.0.0"`, `"version": "1"`},
		"no header": {`"API-Version"`, `"Version"`}, "no 400": {`"400"`, `"404"`}, "no problem": {`"application/problem+json"`, `"application/json"`}, "an older OpenAPI": {`"openapi": "3.1.0"`, `"openapi": "2.0"`},
	} {
		raw, err := json.Marshal(openapi)
		ok(t, err)
		changed := strings.ReplaceAll(string(raw), strings.ReplaceAll(c[0], `": "`, `":"`), strings.ReplaceAll(c[1], `": "`, `":"`))
		var doc map[string]any
		ok(t, json.Unmarshal([]byte(changed), &doc))
		if len(broken(doc)) == 0 {
			t.Errorf("control: nothing is wrong with %s", name)
		}
	}
}

// TestSchemasAreUsed: no schema stands in the contract for nothing.
func TestSchemasAreUsed(t *testing.T) {
	raw, err := json.Marshal(openapi)
	ok(t, err)
	schemas := openapi["components"].(map[string]any)["schemas"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		if !strings.Contains(string(raw), `"#/components/schemas/`+name+`"`) {
			t.Errorf("nothing is a %s", name)
		}
	}
}
