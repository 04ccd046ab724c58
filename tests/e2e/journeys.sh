#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# A person at the boutique, by curl, on every dataplane: the public application's routes and forms.
# shellcheck source=tests/e2e/lib.sh
. tests/e2e/lib.sh

sunglasses=OLJCESPC7Z
mug=6E92ZMYYFZ
price="\$19.99"
card=(-d email=someone@example.com -d street_address='1600 Amphitheatre Parkway' -d zip_code=94043
	-d city='Mountain View' -d state=CA -d country='United States'
	-d credit_card_expiration_month=1 -d credit_card_expiration_year=2039 -d credit_card_cvv=672)

# go JAR PATH ARGUMENTS...: one request with the cookies of JAR; sets $status and $body.
go() {
	local jar=$scratch/$1 path=$2
	shift 2
	status=$(curl -s --max-time 20 -o "$scratch/body" -w '%{http_code}' -b "$jar" -c "$jar" "$@" "$url$path")
	body=$(tr '\0' ' ' <"$scratch/body")
}

# expect NAME STATUS [TEXT]: of the last request.
expect() {
	if [[ $status != "$2" ]]; then
		not_ok "$on: $1" "status $status instead of $2: ${body:0:120}"
	elif [[ -n ${3-} && $body != *"$3"* ]]; then
		not_ok "$on: $1" "the page does not say '$3'"
	else
		ok "$on: $1"
	fi
}

# refused NAME PATTERN: the last request's status is like PATTERN.
refused() {
	# shellcheck disable=SC2053 # a pattern
	if [[ $status == $2 ]]; then ok "$on: $1"; else not_ok "$on: $1" "status $status"; fi
}

# without NAME TEXT
without() {
	if [[ $body == *"$2"* ]]; then not_ok "$on: $1" "the page says '$2'"; else ok "$on: $1"; fi
}

journey() {
	go anna /_healthz
	expect "it is healthy" 200
	go anna /
	expect "the home page lists the catalog" 200 Sunglasses
	expect "prices are in dollars at first" 200 "$price"
	expect "all of it" 200 Mug
	go anna /setCurrency -d currency_code=EUR
	expect "a currency can be chosen" 302
	go anna /
	expect "prices are in the chosen currency" 200 '€'
	without "and in no other" "$price"
	go anna "/product/$sunglasses"
	expect "a product has its page" 200 Sunglasses
	go anna /cart
	without "the cart is empty at first" Sunglasses
	go anna /cart -d product_id=$sunglasses -d quantity=2
	expect "a product can be put into the cart" 302
	go anna /cart -d product_id=$mug -d quantity=1
	go anna /cart
	expect "the cart holds it" 200 Sunglasses
	expect "the cart holds what was added later" 200 Mug
	go bert /cart
	without "another user's cart is another" 'Quantity: 2'
	without "another user's cart is another one" $sunglasses
	go anna /cart/checkout "${card[@]}" -d credit_card_number=4432801561520454
	expect "an order is confirmed" 200 'Order'
	go anna /cart
	without "the cart is empty after the order" "$mug"
	go bert /cart -d product_id=$mug -d quantity=3
	go bert /cart/empty -X POST
	expect "a cart can be emptied" 302
	go bert /cart
	without "then it is empty" "$mug"
	go bert /logout
	expect "one can log out" 302

	go carl /product/NOSUCHTHING
	expect "an unknown product is not found" 404
	go carl /no/such/page
	expect "an unknown page is not found" 404
	go carl /cart -d product_id=$mug -d quantity=2000000000000
	refused "an absurd quantity is refused" "4??"
	go carl /cart -d product_id=$mug -d quantity=-1
	refused "a negative quantity is refused" "4??"
	go carl /setCurrency -d currency_code=XXX
	refused "an unknown currency is refused" "4??"
	go carl /cart -d product_id=$mug -d quantity=1
	go carl /cart/checkout "${card[@]}" -d credit_card_number=1234
	refused "a bad card is refused" "[45]??"
	go carl /
	expect "and the shop is still open" 200 Sunglasses
}

runnable "journeys"
for on in "${specs[@]}"; do
	if ! serve -d "$on" -w boutique; then
		not_ok "$on: the boutique is served" "$(tail -n 1 "$serve_log")"
		continue
	fi
	rm -f "$scratch"/{anna,bert,carl}
	journey
	stop_server
	check "$on: serve ends in good order" "exit code $?" test $? = 0
done
