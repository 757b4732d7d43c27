#!/bin/sh
# Follows the stream of the relay at $RELAY with $TOKEN and curl. Prints a line for each opening, event and refusal. $STATE
# is a directory for the state between two connections.
set -eu
cd "$STATE"
printf '' >id
echo 3000 >retry
carriage_return=$(printf '\r')

# Reads the lines of one connection. A field takes effect with the empty line that ends its block.
read_stream() {
    id=$(cat id) name='' data=''
    while IFS= read -r line; do
        # The lines of the response head end with it.
        case ${line%"$carriage_return"} in
            'HTTP/1.1 200'*) echo open ;;
            'retry: '*) echo "${line#retry: }" >retry ;;
            'id: '*) id=${line#id: } ;;
            'event: '*) name=${line#event: } ;;
            'data: '*) data=${line#data: } ;;
            '')
                case $name:$data in
                    error:?*) echo "refused $data" && : >refused ;;
                    reset:*) echo "reset $data" ;;
                    :?*) echo "$data" | sed 's/.*"documentId":"\([^"]*\)".*/event \1/' ;;
                esac
                printf %s "$id" >id
                name='' data=''
                ;;
        esac
    done
}

while [ ! -e refused ]; do
    # An idle stream sends an empty line every 15 s: below one byte in 45 s the connection is dead.
    curl --silent --no-buffer --include --speed-limit 1 --speed-time 45 --header "Authorization: Bearer $TOKEN" \
        --header "Last-Event-ID: $(cat id)" "$RELAY/events/client" | read_stream
    [ -e refused ] || sleep "$(($(cat retry) / 1000 + 1))"
done
