// Drives the bare topic socket with gorilla/websocket: gorilla_client HOST MQTT_PORT WS_PORT
//
// Each check talks with mosquitto_pub and mosquitto_sub on TCP, both ways. Prints a line per check
// and exits 1 if one failed. Every wait is for an event, with a deadline.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

const deadline = 20 * time.Second
const largeBytes = 1 << 20

var host, mqttPort, wsPort string

// device is a subscriber on TCP whose lines are the payload format indicator and the payload in hex.
type device struct {
	command *exec.Cmd
	lines   chan string
}

func subscribe(topic string) *device {
	command := exec.Command("stdbuf", "-oL", "mosquitto_sub", "-h", host, "-p", mqttPort, "-V", "mqttv5",
		"-d", "-q", "1", "-t", topic, "-F", "MESSAGE %F %x")
	output, err := command.StdoutPipe()
	check(err)
	check(command.Start())
	device := &device{command, make(chan string, 1000)}
	subscribed := make(chan bool, 1)
	go func() {
		reader := bufio.NewReader(output)
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				return
			}
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "Subscribed") {
				subscribed <- true
			} else if strings.HasPrefix(line, "MESSAGE ") {
				device.lines <- strings.TrimPrefix(line, "MESSAGE ")
			}
		}
	}()
	select {
	case <-subscribed:
	case <-time.After(deadline):
		panic("mosquitto_sub: no SUBACK in time")
	}
	return device
}

func (device *device) expect(payload []byte, text bool) {
	indicator := ""
	if text {
		indicator = "1"
	}
	wanted := strings.TrimSpace(indicator + " " + hex.EncodeToString(payload))
	select {
	case line := <-device.lines:
		if line = strings.TrimSpace(line); line != wanted {
			panic(fmt.Sprintf("mosquitto_sub got %.80q, wanted %.80q", line, wanted))
		}
	case <-time.After(deadline):
		panic("mosquitto_sub: no message in time")
	}
}

func (device *device) close() {
	check(device.command.Process.Kill())
	_ = device.command.Wait() // it was killed
}

func publish(topic string, payload []byte, text bool) {
	arguments := []string{"-h", host, "-p", mqttPort, "-V", "mqttv5", "-q", "1", "-t", topic, "-s"}
	if text {
		arguments = append(arguments, "-D", "publish", "payload-format-indicator", "1")
	}
	command := exec.Command("mosquitto_pub", arguments...)
	command.Stdin = bytes.NewReader(payload)
	check(command.Run())
}

func dial(path string) *websocket.Conn {
	bare, response, err := websocket.DefaultDialer.Dial("ws://"+host+":"+wsPort+"/"+path, nil)
	if err != nil && response != nil {
		panic(fmt.Sprintf("%s: %s", path, response.Status))
	}
	check(err)
	check(bare.SetReadDeadline(time.Now().Add(deadline)))
	return bare
}

func expect(bare *websocket.Conn, kind int, payload []byte) {
	got, bytesGot, err := bare.ReadMessage()
	check(err)
	if got != kind || !bytes.Equal(bytesGot, payload) {
		panic(fmt.Sprintf("got type %d %.80q, wanted %d %.80q", got, bytesGot, kind, payload))
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func textBothWays(topic string) {
	device, bare := subscribe(topic), dial(topic)
	check(bare.WriteMessage(websocket.TextMessage, []byte("grüße")))
	expect(bare, websocket.TextMessage, []byte("grüße"))
	device.expect([]byte("grüße"), true)
	publish(topic, []byte("zurück"), true)
	expect(bare, websocket.TextMessage, []byte("zurück"))
	device.close()
	check(bare.Close())
}

func binaryBothWays(topic string) {
	device, bare := subscribe(topic), dial(topic)
	payload := []byte{0, 1, 127, 128, 255}
	check(bare.WriteMessage(websocket.BinaryMessage, payload))
	expect(bare, websocket.BinaryMessage, payload)
	device.expect(payload, false)
	publish(topic, []byte{255, 0}, false)
	expect(bare, websocket.BinaryMessage, []byte{255, 0})
	device.close()
	check(bare.Close())
}

func noEcho(topic string) {
	device, bare := subscribe(topic), dial(topic+"?echo=0")
	check(bare.WriteMessage(websocket.TextMessage, []byte("own")))
	device.expect([]byte("own"), true)
	publish(topic, []byte("of another"), true)
	expect(bare, websocket.TextMessage, []byte("of another"))
	device.close()
	check(bare.Close())
}

func retainedAndLast(topic string) {
	keeper := dial(topic + "?retain=1")
	check(keeper.WriteMessage(websocket.TextMessage, []byte("kept")))
	expect(keeper, websocket.TextMessage, []byte("kept"))
	late := dial(topic + "?last=1")
	expect(late, websocket.TextMessage, []byte("kept"))
	check(keeper.WriteMessage(websocket.TextMessage, nil))
	expect(late, websocket.TextMessage, nil)
	check(late.Close())
	check(keeper.Close())
}

func large(topic string) {
	device, bare := subscribe(topic), dial(topic)
	payload := make([]byte, largeBytes)
	_, err := rand.Read(payload)
	check(err)
	check(bare.WriteMessage(websocket.BinaryMessage, payload))
	expect(bare, websocket.BinaryMessage, payload)
	device.expect(payload, false)
	device.close()
	check(bare.Close())
}

// A message written in pieces leaves as fragments.
func fragments(topic string) {
	device, bare := subscribe(topic), dial(topic)
	writer, err := bare.NextWriter(websocket.TextMessage)
	check(err)
	whole := strings.Repeat("piece ", 4000)
	for at := 0; at < len(whole); at += 1500 {
		_, err = io.WriteString(writer, whole[at:at+1500])
		check(err)
	}
	check(writer.Close())
	expect(bare, websocket.TextMessage, []byte(whole))
	device.expect([]byte(whole), true)
	device.close()
	check(bare.Close())
}

func pingAnswered(topic string) {
	bare := dial(topic)
	pong := ""
	bare.SetPongHandler(func(payload string) error { pong = payload; return nil })
	check(bare.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(deadline)))
	// Pongs are handled while a message is read.
	check(bare.WriteMessage(websocket.TextMessage, []byte("fence")))
	expect(bare, websocket.TextMessage, []byte("fence"))
	if pong != "there?" {
		panic(fmt.Sprintf("pong %q", pong))
	}
	check(bare.Close())
}

func closeIsAnswered(topic string) {
	bare := dial(topic)
	message := websocket.FormatCloseMessage(4001, "enough")
	check(bare.WriteControl(websocket.CloseMessage, message, time.Now().Add(deadline)))
	if _, _, err := bare.ReadMessage(); !websocket.IsCloseError(err, 4001) {
		panic(fmt.Sprintf("ended with %v", err))
	}
	check(bare.Close())
}

func refusedWithAReason(topic string) {
	for _, path := range []string{topic + "/%23", topic + "/+", topic + "?what=1"} {
		_, response, err := websocket.DefaultDialer.Dial("ws://"+host+":"+wsPort+"/"+path, nil)
		if err != websocket.ErrBadHandshake || response.StatusCode != http.StatusBadRequest {
			panic(fmt.Sprintf("%s: %v", path, err))
		}
		if reason, _ := io.ReadAll(response.Body); len(reason) < 10 {
			panic(fmt.Sprintf("%s: no reason in %q", path, reason))
		}
	}
}

func compressionAskedFor(topic string) {
	dialer := websocket.Dialer{EnableCompression: true}
	bare, _, err := dialer.Dial("ws://"+host+":"+wsPort+"/"+topic, nil)
	check(err)
	check(bare.SetReadDeadline(time.Now().Add(deadline)))
	payload := bytes.Repeat([]byte("again "), 1000)
	check(bare.WriteMessage(websocket.TextMessage, payload))
	expect(bare, websocket.TextMessage, payload)
	check(bare.Close())
}

func main() {
	host, mqttPort, wsPort = os.Args[1], os.Args[2], os.Args[3]
	checks := []struct {
		name string
		run  func(topic string)
	}{
		{"text_both_ways", textBothWays}, {"binary_both_ways", binaryBothWays}, {"no_echo", noEcho},
		{"retained_and_last", retainedAndLast}, {"large", large}, {"fragments", fragments},
		{"ping_answered", pingAnswered}, {"close_is_answered", closeIsAnswered},
		{"refused_with_a_reason", refusedWithAReason}, {"compression_asked_for", compressionAskedFor},
	}
	failed := 0
	for _, check := range checks {
		if failure := outcome(check.run, "go/"+check.name); failure != nil {
			failed++
			fmt.Printf("FAILED gorilla %s: %v\n", check.name, failure)
		} else {
			fmt.Printf("ok     gorilla %s\n", check.name)
		}
	}
	if failed > 0 {
		os.Exit(1)
	}
}

// outcome is what a check panicked with, if it did.
func outcome(check func(topic string), topic string) (failure interface{}) {
	defer func() { failure = recover() }()
	check(topic)
	return nil
}
